import { Account } from "../../../lab/account.ts";
import { debian13 } from "../../../lab/debian13.ts";
import type { Lab } from "../../../lab/lab.ts";
import { leftOut, modernPrograms } from "../../../lab/modern.ts";
import type { Helper } from "../../comparison.ts";
import { RootlessKit } from "../../engines/rootlesskit.ts";

/** RootlessKit that starts pasta, in an account whose machine is a Debian 13. */
async function make(lab: Lab, helper: Helper, path: readonly string[]): Promise<RootlessKit> {
  const account = await Account.create(lab, `k${helper.firstPort}`, path, debian13);
  return RootlessKit.of(account, helper, {
    network: ["--net=pasta", `--pasta-binary=${helper.path}`],
    processes: /--tcp-ports=/,
  });
}

/** Each RootlessKit that starts pasta. */
export const rootlessKits = [
  {
    title: "rootlesskit 2 --net=pasta",
    why: null,
    hasIpv6: false,
    hasPesto: false,
    make: (lab: Lab, helper: Helper) => make(lab, helper, []),
  },
  {
    title: "rootlesskit 3 --net=pasta",
    why: leftOut("rootlesskit"),
    hasIpv6: true,
    hasPesto: true,
    make: (lab: Lab, helper: Helper) => make(lab, helper, [lab.host.stage.inside(modernPrograms)]),
  },
] as const;
