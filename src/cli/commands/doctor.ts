import { release } from "node:os";
import path from "node:path";
import { UserError } from "../../base/errors.js";
import { print } from "../../base/stdio.js";
import { DEFAULT_PREFIX, planFor } from "../../config/address-plan.js";
import { DEFAULT_MTU } from "../../config/constants.js";
import { isMissing } from "../../netns/program.js";
import { subordinateIds } from "../../netns/subordinate-ids.js";
import {
  checkAppArmor,
  checkConfinement,
  checkKernel,
  checkLimit,
  checkNode,
  checkPingGroups,
  checkTun,
  checkUnprivilegedClone,
  type Finding,
  readSysctl,
  readText,
} from "./doctor-checks.js";

const LIMITS = ["user.max_user_namespaces", "user.max_net_namespaces", "user.max_mnt_namespaces"];

/** `slipway doctor`: checks the machine and prints what it finds. @returns the exit status: 0 when Slipway can run */
export async function doctor(): Promise<0 | 1> {
  const findings = [...checkMachine(), await tryNetwork()];
  print(report(findings));
  return findings.some(({ state }) => state === "problem") ? 1 : 0;
}

/** The findings as a table; a line below a problem or a warning says how to fix it. */
export function report(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ subject }) => subject.length));
  const lines = findings.flatMap(({ state, subject, found, fix }) => {
    const line = `${state.padEnd("warning".length)}  ${subject.padEnd(width)}  ${found}`;
    return fix === null ? [line] : [line, `         fix: ${fix}`];
  });
  const problems = findings.filter(({ state }) => state === "problem").length;
  const verdict = problems === 0 ? "Slipway can be used here." : "Slipway cannot be used here yet.";
  return `${lines.join("\n")}\n${verdict}\n`;
}

function checkMachine(): Finding[] {
  return [
    checkKernel(release()),
    checkNode(process.versions.node),
    checkTun(),
    ...LIMITS.map((name) => checkLimit(name, readSysctl(name))),
    checkUnprivilegedClone(readSysctl("kernel.unprivileged_userns_clone")),
    checkAppArmor(readSysctl("kernel.apparmor_restrict_unprivileged_userns"), launcherPath()),
    checkPingGroups(readSysctl("net.ipv4.ping_group_range"), ownGroups()),
    checkSubordinateIds(),
    // The parent's: the launcher may have confined this process.
    checkConfinement(readText(`/proc/${process.ppid}/status`)),
  ];
}

/** Whether --map-auto can be used. Trying it takes newuidmap(1), which has no power where no_new_privs is set, as here. */
function checkSubordinateIds(): Finding {
  const subject = "subordinate ids";
  const own = { uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 };
  try {
    subordinateIds(own, false);
  } catch (error) {
    const [, found = String(error), fix = ""] =
      /^--map-auto: ([^:]+): (.+)$/.exec(error instanceof Error ? error.message : "") ?? [];
    return { subject, state: "warning", found: `${found}: --map-auto needs them`, fix };
  }
  if (!isMissing("newuidmap")) return { subject, state: "ok", found: "for --map-auto", fix: null };
  const fix = "sudo apt-get install uidmap";
  return { subject, state: "warning", found: "newuidmap is missing: --map-auto needs it", fix };
}

/** Makes a network as `slipway run` does, but runs no command in it. */
async function tryNetwork(): Promise<Finding> {
  const subject = "network in a new namespace";
  try {
    const [{ openTap }, { namespaceOf, spawnHeld }, { native }] = await Promise.all([
      import("../../netns/tap.js"),
      import("../../netns/spawn.js"),
      import("../../sys/native.js"),
    ]);
    const child = spawnHeld({
      command: ["true"],
      keepId: false,
      resolvConf: "",
      inside: { ownPids: true, seesApi: true },
    });
    try {
      const plans = [planFor(DEFAULT_PREFIX[4])];
      openTap(namespaceOf(child), "tap0", { plans, mtu: DEFAULT_MTU, txqueuelen: 1000 });
    } finally {
      native.close(child.control);
    }
    return { subject, state: "ok", found: "can be made", fix: null };
  } catch (error) {
    return { subject, state: "problem", ...explain(error) };
  }
}

function explain(error: unknown): { found: string; fix: string } {
  if (error instanceof UserError) {
    return { found: error.message, fix: "fix the problems above, then run slipway doctor again" };
  }
  // Further lines of Node's name the modules that required the file.
  const [found = ""] = String(error).split("\n");
  return { found, fix: "the installation is incomplete; in a checkout: scripts/build" };
}

/** bin/slipway beside dist/slipway.cjs. */
function launcherPath(): string {
  return path.resolve(path.dirname(process.argv[1] ?? ""), "../bin/slipway");
}

function ownGroups(): number[] {
  return [process.getegid?.() ?? -1, ...(process.getgroups?.() ?? [])];
}
