import { getuid } from "node:process";
import { debian13 } from "../../../lab/debian13.ts";
import type { Lab } from "../../../lab/lab.ts";
import { type Check, compareWith, type Engine, type Helper, type Peer } from "../../comparison.ts";

/** The pasta of Debian 13, and ours. */
export const pasta: Peer = {
  possible: getuid?.() === 0 && debian13 !== null,
  why: "scripts/debian13 has made no Debian 13",
  name: "pasta",
  ours: ["Slipway"],
  paths: (lab) => ({
    ours: lab.host.program("pasta"),
    peers: "/usr/bin/pasta",
  }),
};

/**
 * A group of checks with an engine on Slipway's pasta and one on Debian's.
 * @param missing what else they need that is not there; null: all is there
 * @param ours what make() is called with for Slipway
 */
export function compare<E extends Engine>(
  title: string,
  make: (lab: Lab, helper: Helper) => Promise<E>,
  define: (check: Check<E>) => void,
  missing: string | null = null,
  ours = pasta.ours,
): void {
  const peer = { ...pasta, ours };
  const needed = missing === null ? peer : { ...peer, possible: false, why: missing };
  compareWith(needed, title, make, define);
}
