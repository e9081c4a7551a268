/**
 * The process under test: loads the addon as an ordinary, unprivileged process and runs what
 * {@link Subject.run} sends. TUNTAP2_ADDON names another build of the addon (sanitize.sh).
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { runInThisContext } from "node:vm";

export type Native = typeof import("../index.cjs");

/** What a body that runs in the process can use; it sees nothing else of the file it stands in. */
export interface Tools {
  readonly native: Native;
  /** The addon's file. */
  readonly addon: string;
  readonly require: NodeJS.Require;
  readonly errno: typeof constants.errno;
  /** Zeroed, registered memory. */
  memory(size: number): { mem: number; bytes: Uint8Array; view: DataView };
  /** A held child in namespaces of its own that runs a shell script. */
  hold(script: string): Exclude<ReturnType<Native["spawnHeld"]>, number>;
  /** Opens an agent, or throws. */
  enter(pid: number): number;
  /** How the child ended, once it has. */
  reap(pidfd: number): Promise<number>;
  sleep(ms: number): Promise<void>;
  /** Waits for a state; one that never comes ends the test by its time limit. */
  until(isSo: () => boolean): Promise<void>;
  closeOnExec(fd: number): boolean;
}

const require = createRequire(import.meta.url);
const { TUNTAP2_ADDON = "../build/tuntap2.node" } = process.env;
const addon = require.resolve(TUNTAP2_ADDON);
const native: Native = require(addon);
const errno = constants.errno;
/** By then what has happened has been told, also when the timer was late: libuv looks at timers first. */
const sleep = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(() => setImmediate(resolve), ms));

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(1);
}

function memory(size: number) {
  const buffer = new ArrayBuffer(size);
  return {
    mem: native.registerMemory(buffer),
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
  };
}

function hold(script: string) {
  const child = native.spawnHeld({
    file: "sh",
    argv: ["sh", "-c", script],
    env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    insideUid: 0,
    insideGid: 0,
    resolvConf: null,
    keep: [],
    ignore: [],
    hidden: [],
  });
  if (typeof child === "number") throw failure("spawnHeld", child);
  return child;
}

function enter(pid: number): number {
  const agent = native.openAgent(null, `/proc/${pid}/ns/net`);
  if (agent < 0) throw failure("openAgent", agent);
  return agent;
}

function failure(what: string, result: number): Error {
  const { step, path } = native.lastError();
  return new Error(`${what}: ${result} at ${step} ${path}`);
}

async function reap(pidfd: number): Promise<number> {
  for (;;) {
    const status = native.waitChild(pidfd);
    if (status !== -errno.EAGAIN) return status;
    await sleep(5);
  }
}

function closeOnExec(fd: number): boolean {
  const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
  return (Number.parseInt(flags ?? "", 8) & 0o2000000) !== 0; // O_CLOEXEC
}

const tools: Tools = {
  native,
  addon,
  require,
  errno,
  memory,
  hold,
  enter,
  reap,
  sleep,
  until,
  closeOnExec,
};

async function outcome(source: string, args: readonly unknown[]) {
  try {
    const body = runInThisContext(`(${source})`);
    return { value: await body(tools, ...args) };
  } catch (error) {
    return { error: error instanceof Error ? error.stack : String(error) };
  }
}

process.on("message", async ({ source, args }: { source: string; args: readonly unknown[] }) => {
  const message = await outcome(source, args);
  if (process.connected) process.send?.(message);
});
process.on("disconnect", () => process.exit(0));
