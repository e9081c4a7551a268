/*
 * What the daemon and launchers in shared mode say to each other, a message each: the daemon's side of
 * native/launcher/shared.h, which tells the order. Numbers are little-endian, as netlink's are here.
 */

/** SHARED_VERSION there. */
export const LAUNCHER_VERSION = 2;

/** Longest message of a launcher's, in bytes. */
export const LONGEST_LAUNCHER_MESSAGE = 64 * 1024;

const FromLauncher = { Request: 1, Tap: 2, Api: 3, Done: 4 } as const;
const FromDaemon = { Plan: 1, Up: 2, Keep: 3, End: 4, Answer: 5 } as const;

const HEAD_LENGTH = 8;
const KIND_LENGTH = 4;
const PLAN_LENGTH = 16;
const NONE = -1;

export type LauncherMessage =
  | { readonly kind: "request"; readonly request: LauncherRequest }
  | { readonly kind: "tap"; readonly tap: LauncherTap }
  | { readonly kind: "api" }
  /** The settings are made. */
  | { readonly kind: "done" };

/** What a launcher asks for. */
export interface LauncherRequest {
  readonly version: number;
  /** Its host's network namespace and resolv.conf, by device and inode. */
  readonly namespace: string;
  readonly resolvConf: string;
  readonly pid: string;
  /** By which the program was called. */
  readonly name: string;
  readonly args: readonly string[];
}

/** The TAP that comes along. */
export interface LauncherTap {
  readonly ifindex: number;
  readonly name: string;
  /** Device and inode of the network namespace. */
  readonly namespace: string;
  /** When the process that it was named by was started, as proc_pid_stat(5) has it; or null. */
  readonly started: string | null;
}

/** What the launcher is to do; null for what there is not. */
export interface LauncherPlan {
  readonly readyFd: number | null;
  readonly exitFd: number | null;
  /** With which the network ends. */
  readonly pid: number | null;
  readonly netns: string;
  readonly userns: string | null;
  /** null: the first of eth0, eth1 and so on that is free. */
  readonly tap: string | null;
  readonly apiSocket: string | null;
}

/** A request of netlink. */
export interface LauncherSetting {
  readonly message: Uint8Array;
  /** So many from here on are left out where the namespace has no IPv6; 0: it must succeed. */
  readonly optional: number;
}

/** @returns null for what is none */
export function parseLauncherMessage(bytes: Uint8Array): LauncherMessage | null {
  if (bytes.length < HEAD_LENGTH) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const number = view.getInt32(KIND_LENGTH, true);
  switch (view.getUint32(0, true)) {
    case FromLauncher.Request:
      return parseRequest(number, textsOf(bytes));
    case FromLauncher.Tap:
      return parseTap(number, textsOf(bytes));
    case FromLauncher.Api:
      return { kind: "api" };
    case FromLauncher.Done:
      return { kind: "done" };
    default:
      return null;
  }
}

/** Each ends with a NUL: behind the last there is nothing. */
function textsOf(message: Uint8Array): readonly string[] {
  return Buffer.from(message.subarray(HEAD_LENGTH)).toString().split("\0").slice(0, -1);
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
  const bytes = Buffer.alloc(PLAN_LENGTH);
  bytes.writeUInt32LE(FromDaemon.Plan, 0);
  bytes.writeInt32LE(plan.readyFd ?? NONE, 4);
  bytes.writeInt32LE(plan.exitFd ?? NONE, 8);
  bytes.writeInt32LE(plan.pid ?? NONE, 12);
  return Buffer.concat([bytes, Buffer.from(texts)]);
}

/**
 * The network is up, once these settings are made.
 * @param announcement for stdout
 */
export function upMessage(settings: readonly LauncherSetting[], announcement: string): Uint8Array {
  const parts = settings.flatMap(({ message, optional }) => [
    wordOf(message.length),
    wordOf(optional),
    message,
  ]);
  const head = [wordOf(FromDaemon.Up), wordOf(settings.length)];
  return Buffer.concat([...head, ...parts, Buffer.from(announcement)]);
}

/** @param kept what whoever serves the guest after this daemon is to know */
export function keepMessage(kept: string): Uint8Array {
  return Buffer.concat([wordOf(FromDaemon.Keep), Buffer.from(kept)]);
}

/** The network is gone. @param sentence for stderr */
export function endMessage(status: number, sentence: string): Uint8Array {
  return Buffer.concat([wordOf(FromDaemon.End), wordOf(status), Buffer.from(sentence)]);
}

/** What a command that asks the daemon prints on stdout. */
export function answerMessage(text: string): Uint8Array {
  return Buffer.concat([wordOf(FromDaemon.Answer), wordOf(0), Buffer.from(text)]);
}

function wordOf(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
