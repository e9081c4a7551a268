import { dirname, join } from "node:path";
import { Account } from "../../../lab/account.ts";
import { debian13 } from "../../../lab/debian13.ts";
import type { Lab } from "../../../lab/lab.ts";
import { leftOut, modernPrograms } from "../../../lab/modern.ts";
import type { Check, Helper } from "../../comparison.ts";
import { Podman } from "../../engines/podman.ts";
import { compare } from "./comparison.ts";

const processes = /--config-net|^\S*pasta /;

/** podman 5 of Debian 13, which finds pasta where its users say so; with the user's daemon for the helper "shared". */
export async function podman5(lab: Lab, helper: Helper): Promise<Podman> {
  const account = await Account.create(lab, `d${helper.firstPort}`, [], debian13);
  const settings = `helper_binaries_dir = ["${dirname(helper.path)}", {append=true}]`;
  if (helper.name !== "shared") return Podman.of(account, helper, { settings, processes });
  const slipway = join(dirname(helper.path), "slipway");
  await account.user.output([slipway, "daemon", "start"]);
  return Podman.of(account, helper, {
    // The line of docs/use-with.md.
    settings: `${settings}\nenv = ["SLIPWAY_SHARED=1"]`,
    processes,
    end: () => account.user.output([slipway, "daemon", "stop"]),
  });
}

/** podman 6 as scripts/modern builds it, with its netavark, in a Debian 13. */
export function podman6(lab: Lab, helper: Helper): Promise<Podman> {
  return makePodman6(lab, helper, "");
}

/** The same, with ports of bridge networks that it has pesto open in pasta. */
export function podman6WithPesto(lab: Lab, helper: Helper): Promise<Podman> {
  return makePodman6(lab, helper, '[network]\nrootless_port_forwarder = "pasta"');
}

async function makePodman6(lab: Lab, helper: Helper, sections: string): Promise<Podman> {
  const modern = lab.host.stage.inside(modernPrograms);
  const account = await Account.create(lab, `m${helper.firstPort}`, [modern], debian13);
  // What is appended comes after podman's own directories, where the netavark of podman 5 is.
  const directories = [dirname(helper.path), modern, "/usr/lib/podman"].map((path) => `"${path}"`);
  return Podman.of(account, helper, {
    // A build mounts an overlay there, which cannot lie on another overlay, as /var/tmp does here.
    settings: `
      helper_binaries_dir = [${directories.join(", ")}]
      image_copy_tmp_dir = "${account.home}"
    `,
    // Built without libseccomp, it knows no profiles.
    further: `seccomp_profile = "unconfined"\n${sections}`,
    processes,
  });
}

/** What a test of podman 6 needs and is not there; null: all is there. */
export const withoutPodman6 = leftOut("podman") ?? leftOut("netavark");

/** A group of checks on both podmans, and with podman 5 in shared mode, too. */
export function comparePodmans(title: string, define: (check: Check<Podman>) => void): void {
  compare(title, podman5, define, null, ["Slipway", "shared"]);
  compare(`podman 6: ${title}`, podman6, define, withoutPodman6);
}
