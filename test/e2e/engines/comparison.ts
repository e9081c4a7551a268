import { accountsPossible } from "../../lab/account.ts";
import type { Lab } from "../../lab/lab.ts";
import { helper as ours } from "../../lab/product.ts";
import { type Check, compareWith, type Engine, type Helper, type Peer } from "../comparison.ts";

const slirp4netns: Peer = {
  ...accountsPossible(),
  name: "slirp4netns",
  ours: ["Slipway"],
  paths: (lab) => ({ ours: lab.host.stage.inside(ours), peers: "/usr/bin/slirp4netns" }),
};

/** A group of checks with an engine on Slipway and one on slirp4netns. */
export function compare<E extends Engine>(
  title: string,
  make: (lab: Lab, helper: Helper) => Promise<E>,
  define: (check: Check<E>) => void,
): void {
  compareWith(slirp4netns, title, make, define);
}
