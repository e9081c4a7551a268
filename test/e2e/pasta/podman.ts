import { dirname } from "node:path";
import { Account } from "../../lab/account.ts";
import { debian13 } from "../../lab/debian13.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Helper } from "../comparison.ts";
import { Podman } from "../engines/podman.ts";

/** podman 5 of Debian 13, which finds pasta where its users say so. */
export async function podman5(lab: Lab, helper: Helper): Promise<Podman> {
  const account = await Account.create(lab, `d${helper.firstPort}`, [], debian13);
  return Podman.of(account, helper, {
    settings: `helper_binaries_dir = ["${dirname(helper.path)}", {append=true}]`,
    processes: /--config-net|^\S*pasta /,
  });
}
