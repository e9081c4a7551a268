import * as abi from "./launcher-abi.js";

/*
 * Messages between the daemon and launchers in shared mode: the daemon's side of native/launcher/shared/protocol.h,
 * which defines their order. Numbers are little-endian.
 */

/** Longest message of a launcher, in bytes; a launcher sends at most half of it. */
export const LONGEST_LAUNCHER_MESSAGE = 2 * abi.REQUEST_MAX;

export const LAUNCHER_VERSION = abi.VERSION;

const KIND_LENGTH = 4;

export type LauncherMessage =
  | { readonly kind: "request"; readonly request: LauncherRequest }
  | { readonly kind: "tap"; readonly tap: LauncherTap }
  | { readonly kind: "api" }
  /** An agent's socket is passed: what was to be set in the namespace is set. */
  | { readonly kind: "agent" }
  /** The launcher has applied the settings. */
  | { readonly kind: "done" };

/** A launcher's command line and its environment. */
export interface LauncherRequest {
  readonly version: number;
  /** Device and inode of its network namespace and of its resolv.conf, as DEVICE:INODE. */
  readonly namespace: string;
  readonly resolvConf: string;
  readonly pid: string;
  /** The name by which the program was called. */
  readonly name: string;
  readonly args: readonly string[];
}

/** Describes the TAP that is passed with the message. */
export interface LauncherTap {
  readonly ifindex: number;
  readonly name: string;
  /** Device and inode of the network namespace. */
  readonly namespace: string;
  /**
   * Start time of the process that names the namespace (starttime of proc_pid_stat(5), in clock ticks); null: a file
   * names it.
   */
  readonly started: string | null;
}

/** What the launcher is to do. */
export interface LauncherPlan {
  readonly readyFd: number | null;
  readonly exitFd: number | null;
  /** The process with which the network ends. */
  readonly pid: number | null;
  readonly netns: string;
  readonly userns: string | null;
  /** Name of the interface; null: the first free one of eth0, eth1 and so on. */
  readonly tap: string | null;
  readonly apiSocket: string | null;
}

/** A netlink request that the launcher sends in the namespace. */
export interface LauncherSetting {
  readonly message: Uint8Array;
  /**
   * In a namespace without IPv6, this many requests are skipped, beginning with this one; 0: the request must succeed.
   */
  readonly optional: number;
}

/** @returns null when the message is malformed */
export function parseLauncherMessage(bytes: Uint8Array): LauncherMessage | null {
  if (bytes.length < abi.HEAD_LENGTH) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const number = view.getInt32(KIND_LENGTH, true);
  switch (view.getUint32(0, true)) {
    case abi.REQUEST:
      return parseRequest(number, textsOf(bytes));
    case abi.TAP:
      return parseTap(number, textsOf(bytes));
    case abi.API:
      return { kind: "api" };
    case abi.AGENT:
      return { kind: "agent" };
    case abi.DONE:
      return { kind: "done" };
    default:
      return null;
  }
}

/** Each text ends with a NUL. */
function textsOf(message: Uint8Array): readonly string[] {
  return Buffer.from(message.subarray(abi.HEAD_LENGTH)).toString().split("\0").slice(0, -1);
}

function parseRequest(version: number, texts: readonly string[]): LauncherMessage | null {
  const [namespace, resolvConf, pid, name, ...args] = texts;
  if (namespace === undefined || resolvConf === undefined) return null;
  if (pid === undefined || name === undefined) return null;
  return { kind: "request", request: { version, namespace, resolvConf, pid, name, args } };
}

function parseTap(ifindex: number, texts: readonly string[]): LauncherMessage | null {
  const [name, namespace, started] = texts;
  if (name === undefined || namespace === undefined || started === undefined) return null;
  const tap = { ifindex, name, namespace, started: started === "" ? null : started };
  return { kind: "tap", tap };
}

export function planMessage(plan: LauncherPlan): Uint8Array {
  const { netns, userns, tap, apiSocket } = plan;
  const texts = [netns, userns ?? "", tap ?? "", apiSocket ?? ""]
    .map((text) => `${text}\0`)
    .join("");
  const bytes = Buffer.alloc(abi.PLAN_LENGTH);
  bytes.writeUInt32LE(abi.PLAN, 0);
  bytes.writeInt32LE(plan.readyFd ?? abi.NONE, 4);
  bytes.writeInt32LE(plan.exitFd ?? abi.NONE, 8);
  bytes.writeInt32LE(plan.pid ?? abi.NONE, 12);
  return Buffer.concat([bytes, Buffer.from(texts)]);
}

/**
 * Tells the launcher to apply the settings, after which the network is up.
 * @param announcement what the launcher prints on stdout
 */
export function upMessage(settings: readonly LauncherSetting[], announcement: string): Uint8Array {
  const parts = settings.flatMap(({ message, optional }) => [
    wordOf(message.length),
    wordOf(optional),
    message,
  ]);
  const head = [wordOf(abi.UP), wordOf(settings.length)];
  return Buffer.concat([...head, ...parts, Buffer.from(announcement)]);
}

/** @param kept data with which the launcher can serve the guest when this daemon has ended */
export function keepMessage(kept: string): Uint8Array {
  return Buffer.concat([wordOf(abi.KEEP), Buffer.from(kept)]);
}

/** Tells the launcher that the network has ended. @param status its exit status @param sentence for stderr */
export function endMessage(status: number, sentence: string): Uint8Array {
  return Buffer.concat([wordOf(abi.END), wordOf(status), Buffer.from(sentence)]);
}

/** The answer to a command that asks the daemon. @param text printed on stdout */
export function answerMessage(text: string): Uint8Array {
  return Buffer.concat([wordOf(abi.ANSWER), wordOf(0), Buffer.from(text)]);
}

function wordOf(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
