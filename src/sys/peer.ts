import { readFileSync } from "node:fs";
import { errnoOf, UserError } from "../base/errors.js";
import { Errno, Socket } from "./constants.js";
import { native } from "./native.js";
import type { Peer, Whose } from "./peer-rule.js";

/** The number of our network namespace, once it was asked for. */
let network: bigint | undefined;

/** What peers' namespaces are compared with, once it was asked for. */
let own: { readonly users: string; readonly depth: number } | undefined;

/** Nothing else is known of it. */
const GONE = { users: "unknown", processes: "unknown" } as const;

/**
 * Finds out where we are, before anybody can take the last descriptor.
 * @throws UserError when there is none
 */
export function knowOwnNetwork(): void {
  if (network !== undefined) return;
  const socket = native.socket(Socket.Inet, Socket.Stream, 0);
  const cookie = native.networkCookie(socket);
  native.close(socket);
  if (typeof cookie === "bigint") network = cookie;
  else if (cookie !== -Errno.ENOPROTOOPT)
    throw new UserError("no file descriptor is left: ulimit -n");
}

/** Whether a client connected from our network namespace. Needs no /proc and no privilege. */
export function networkOfPeer(socket: number): Whose {
  const cookie = native.networkCookie(socket);
  if (cookie === -Errno.ENOPROTOOPT) return "unknown";
  return cookie === network ? "own" : "other";
}

/**
 * Who connected. Nothing that a process may do to itself hides it: these files of /proc are readable whether or
 * not it may be dumped. That the process is the same before and after tells that they were its own.
 * @param socket that accept(2) gave
 */
export function peerOf(socket: number): Peer {
  const network = networkOfPeer(socket);
  const pidfd = native.peerPidfd(socket);
  if (pidfd < 0) return { network, ...GONE };
  try {
    return { network, ...processOf(pidfd) };
  } catch {
    // It has ended, or /proc does not show it.
    return { network, ...GONE };
  } finally {
    native.close(pidfd);
  }
}

/** What open(2) says of a file of a hidden process. */
const HIDDEN: readonly string[] = ["ENOENT", "EACCES", "EPERM"];

/**
 * Whether /proc shows processes to those who may not trace them: hidepid of proc(5) has it hide them. Another
 * failure, as for want of descriptors, does not tell that it does.
 */
export function seesProcesses(): boolean {
  try {
    // process.ppid asks the kernel, which the sandbox does not let it.
    const [, parent = "0"] = /^PPid:\s*(\d+)$/m.exec(readStatus()) ?? [];
    readFileSync(`/proc/${parent === "0" ? 1 : parent}/uid_map`);
    return true;
  } catch (error) {
    return !HIDDEN.includes(errnoOf(error));
  }
}

/** @throws Error when it is gone */
function processOf(pidfd: number): Pick<Peer, "users" | "processes"> {
  const { pid, depth } = numbersOf(pidfd);
  if (pid <= 0) return GONE;
  const users = usersOf(readFileSync(`/proc/${pid}/uid_map`, "utf8"));
  if (numbersOf(pidfd).pid !== pid) return GONE;
  return { users, processes: depth === ours().depth ? "own" : "other" };
}

/** A map is shown as the reader sees it (user_namespaces(7)): no child's looks like our own. */
function usersOf(map: string): Peer["users"] {
  if (map === ours().users) return "own";
  return idCount(map) > 1 ? "subordinate" : "other";
}

function idCount(map: string): number {
  const counts = map.split("\n").map((line) => Number(line.trim().split(/\s+/)[2] ?? 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The number of a process, -1 when it has ended; and in how many PID namespaces it has one, from /proc's on. */
function numbersOf(pidfd: number): { readonly pid: number; readonly depth: number } {
  return parseNumbers(readFileSync(`/proc/self/fdinfo/${pidfd}`, "utf8"), "Pid");
}

function parseNumbers(
  text: string,
  name: string,
): { readonly pid: number; readonly depth: number } {
  const [, pid = "-1"] = new RegExp(`^${name}:\\s*(-?\\d+)$`, "m").exec(text) ?? [];
  const [, all = ""] = /^NSpid:\s*(.*)$/m.exec(text) ?? [];
  return { pid: Number(pid), depth: all.split(/\s+/).length };
}

function ours(): NonNullable<typeof own> {
  own ??= {
    users: readFileSync("/proc/self/uid_map", "utf8"),
    depth: parseNumbers(readStatus(), "Pid").depth,
  };
  return own;
}

function readStatus(): string {
  return readFileSync("/proc/self/status", "utf8");
}

/** Whether a process runs as the user, or as root, who can do anything as the user. */
export function isUserOrRoot(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}
