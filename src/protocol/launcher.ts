/*
 * What the daemon and launchers in shared mode say to each other, a message each: the daemon's side of
 * native/launcher/shared.h, which tells the order. Numbers are little-endian, as netlink's are here.
 */

/** SHARED_VERSION there. */
export const LAUNCHER_VERSION = 1;

/** Longest message of a launcher's, in bytes. */
export const LONGEST_LAUNCHER_MESSAGE = 64 * 1024;

const FromLauncher = { Request: 1, Tap: 2, Api: 3 } as const;
const FromDaemon = { Plan: 1, Up: 2, Keep: 3, End: 4 } as const;

const HEAD_LENGTH = 8;
const KIND_LENGTH = 4;
const PLAN_LENGTH = 16;
const NONE = -1;

export type LauncherMessage =
  | { readonly kind: "request"; readonly request: LauncherRequest }
  | { readonly kind: "tap"; readonly ifindex: number }
  | { readonly kind: "api" };

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

/** What the launcher is to do; null for what there is not. */
export interface LauncherPlan {
  readonly readyFd: number | null;
  readonly exitFd: number | null;
  /** With which the network ends. */
  readonly pid: number | null;
  readonly netns: string;
  readonly userns: string | null;
  readonly tap: string;
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
      return parseRequest(number, bytes.subarray(HEAD_LENGTH));
    case FromLauncher.Tap:
      return { kind: "tap", ifindex: number };
    case FromLauncher.Api:
      return { kind: "api" };
    default:
      return null;
  }
}

function parseRequest(version: number, bytes: Uint8Array): LauncherMessage | null {
  const texts = Buffer.from(bytes).toString().split("\0");
  const [namespace, resolvConf, pid, name] = texts;
  if (namespace === undefined || resolvConf === undefined) return null;
  if (pid === undefined || name === undefined) return null;
  // Each ends with a NUL: behind the last there is nothing.
  const args = texts.slice(4, -1);
  return { kind: "request", request: { version, namespace, resolvConf, pid, name, args } };
}

export function planMessage(plan: LauncherPlan): Uint8Array {
  const { netns, userns, tap, apiSocket } = plan;
  const texts = [netns, userns ?? "", tap, apiSocket ?? ""].map((text) => `${text}\0`).join("");
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

function wordOf(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
