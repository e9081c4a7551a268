import { readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { served } from "../lab/addresses.ts";
import { Forger } from "../lab/forge.ts";
import type { Lab } from "../lab/lab.ts";
import type { Namespace } from "../lab/namespace.ts";
import { helper, isSlipway } from "../lab/product.ts";
import { withAttached } from "./attached.ts";
import { DaemonUser } from "./daemon-user.ts";
import { describe, expect, test } from "./fixture.ts";

/** An unmapped address, and one that may be mapped. */
const WILD = 0xdead_0000_0000;
const CHOSEN = 0x40_0000;

/** Signals that end a process by design, whoever sends them. */
const ENDING = new Set([
  constants.signals.SIGHUP,
  constants.signals.SIGINT,
  constants.signals.SIGTERM,
  // V8 handles faults of WebAssembly, and lets all others take effect.
  constants.signals.SIGSEGV,
]);

/** Signals that a process catches, ignores or blocks: the kernel ends it on all others. */
function survivedBy(pid: number): number[] {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const sets = ["SigCgt", "SigIgn", "SigBlk"].map((name) => {
    const [, mask = "0"] = new RegExp(`^${name}:\\s+(\\w+)$`, "m").exec(status) ?? [];
    return BigInt(`0x${mask}`);
  });
  const mask = sets.reduce((all, set) => all | set);
  return [...Array(64).keys()]
    .map((index) => index + 1)
    .filter((signal) => ((mask >> BigInt(signal - 1)) & 1n) === 1n && !ENDING.has(signal));
}

/** All descendants of a process. */
function descendantsOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  const children = text === "" ? [] : text.split(" ").map(Number);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Slipway's own processes: those that run for others have other names. */
function ownProcesses(pids: readonly number[]): number[] {
  return pids.filter((pid) => {
    const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return /slipway|slirp4netns|\/node$/.test(program);
  });
}

function isKeeper(pid: number): boolean {
  return readFileSync(`/proc/${pid}/comm`, "utf8") === "slipway-keeper\n";
}

/** @returns how many signals each process has survived */
async function bombard(lab: Lab, pids: readonly number[]): Promise<Record<string, number>> {
  const forger = await Forger.create(lab);
  const counts: Record<string, number> = {};
  for (const pid of pids) {
    const name = `${pid} ${readFileSync(`/proc/${pid}/comm`, "utf8").trim()}`;
    const signals = survivedBy(pid);
    for (const address of signals.length === 0 ? [] : [WILD, CHOSEN]) {
      const sent = await forger.signals(lab.host.user, pid, address, signals);
      counts[name] = (counts[name] ?? 0) + sent;
    }
  }
  return counts;
}

async function reachesWorld(namespace: Namespace): Promise<boolean> {
  const { code } = await namespace.run(["curl", "-sS", "-m", "20", `http://${served.http}/`]);
  return code === 0;
}

/** Expects the memory of processes to belong to root, and not to their user. */
function expectClosed(pids: readonly number[]): void {
  for (const pid of pids) {
    const name = readFileSync(`/proc/${pid}/comm`, "utf8");
    expect(statSync(`/proc/${pid}/mem`).uid, name).not.toBe(statSync(`/proc/${pid}`).uid);
  }
}

describe.runIf(isSlipway)(
  "Slipway's memory is closed to others, and forged signals change nothing:",
  () => {
    test("a helper, its keeper and its agent survive", async ({ lab, annotate }) => {
      await withAttached(lab, ["--publish-to-loopback"], async ({ namespace, process }) => {
        const pids = [process.pid, ...descendantsOf(process.pid)];
        // Helper, keeper and agent.
        expect(pids).toHaveLength(3);
        expectClosed(pids);
        await annotate(JSON.stringify(await bombard(lab, pids)));
        for (const pid of pids) expect(statSync(`/proc/${pid}`).isDirectory()).toBe(true);
        expect(await reachesWorld(namespace)).toBe(true);
        expect(process.stderr).toBe("");
      });
    });

    test("`run` and its processes survive", async ({ lab, annotate }) => {
      // They are passed on to COMMAND.
      const script = `trap "" QUIT USR1 USR2 TSTP; echo here; read line; curl -sS -m 20 http://${served.http}/ >/dev/null`;
      const process = lab.host.slipway(["run", "--", "sh", "-c", script], { stdin: "pipe" });
      await process.printed(/here/);
      const pids = ownProcesses([process.pid, ...descendantsOf(process.pid)]);
      expectClosed(pids);
      await annotate(JSON.stringify(await bombard(lab, pids)));
      process.child.stdin?.end("\n");
      const { code, stderr } = await process.ended(30_000);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    });

    test("the daemon, its supervisor and a launcher survive", async ({ lab, annotate }) => {
      await using user = await DaemonUser.create(lab);
      await user.ok("network", "create", "forged");
      const member = await user.member("forged", "member");
      const daemon = async () =>
        /"pid": *(\d+)/.exec(await user.ok("daemon", "status", "--json"))?.[1];
      const pid = Number(await daemon());
      const supervisor = Number(
        /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1],
      );
      const env = Object.entries({ ...user.env, SLIPWAY_SHARED: "1" });
      const words = ["env", ...env.map(([name, value]) => `${name}=${value}`)];
      await using guest = await lab.guest({
        helper: [...words, lab.host.stage.inside(helper)],
        options: ["--api-socket", `${user.directory}/forged.sock`],
      });
      const keepers = () => descendantsOf(guest.helper.pid).filter((each) => isKeeper(each));
      await expect.poll(() => keepers().length).toBe(1);
      const launchers = [guest.helper.pid, ...keepers()];
      const pids = [pid, supervisor, ...launchers];
      expectClosed(pids);
      await annotate(JSON.stringify(await bombard(lab, pids)));
      expect(await daemon()).toBe(`${pid}`);
      expect(await reachesWorld(guest.namespace)).toBe(true);
      expect(await reachesWorld(member.namespace)).toBe(true);
      expect(guest.helper.stderr).toBe("");
    });

    test("forged fatal signals end a process just as genuine ones do", async ({ lab }) => {
      const forger = await Forger.create(lab);
      for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
        const guest = await lab.guest();
        await forger.signals(lab.host.user, guest.helper.pid, WILD, [constants.signals[signal]]);
        const { code, stderr } = await guest.helper.ended(10_000);
        expect({ signal, code, stderr }).toEqual({ signal, code: 0, stderr: "" });
        await guest.namespace.release();
      }
    });
  },
);
