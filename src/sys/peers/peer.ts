import { readFileSync } from "node:fs";
import { errnoOf, UserError } from "../../base/errors.js";
import { Errno, Socket } from "../constants.js";
import { native } from "../native.js";
import type { NamespaceRelation, Peer } from "./access.js";

/** Cookie of our network namespace (SO_NETNS_COOKIE); undefined until it is read. */
let network: bigint | undefined;

/** Our uid_map, and how deep our PID namespace is nested; undefined until they are read. */
let own: { readonly users: string; readonly depth: number } | undefined;

/** What is known of a process that has ended. */
const GONE = { users: "unknown", processes: "unknown" } as const;

/**
 * Reads the cookie of our network namespace. Called early, as it takes a descriptor and clients may use up all of them.
 * @throws UserError when no descriptor is left
 */
export function recordOwnNetwork(): void {
  if (network !== undefined) return;
  const socket = native.socket(Socket.Inet, Socket.Stream, 0);
  const cookie = native.networkCookie(socket);
  native.close(socket);
  if (typeof cookie === "bigint") network = cookie;
  else if (cookie !== -Errno.ENOPROTOOPT)
    throw new UserError("no file descriptor is left: ulimit -n");
}

/** Whether a client connected from our network namespace. Needs no /proc and no privilege. */
export function networkOfPeer(socket: number): NamespaceRelation {
  const cookie = native.networkCookie(socket);
  if (cookie === -Errno.ENOPROTOOPT) return "unknown";
  return cookie === network ? "own" : "other";
}

/**
 * The namespaces of the process that connected. It cannot hide them: these files of /proc are readable whether or
 * not the process is dumpable. The pid is read before and after, so that the files cannot be those of a process that
 * got the same pid later.
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

/**
 * The process at the other end; null: it has ended, or is not known.
 * @param socket that accept(2) gave, or that is connected to a listener
 */
export function pidOfPeer(socket: number): number | null {
  const pidfd = native.peerPidfd(socket);
  if (pidfd < 0) return null;
  try {
    const { pid } = numbersOf(pidfd);
    return pid > 0 ? pid : null;
  } catch {
    return null;
  } finally {
    native.close(pidfd);
  }
}

/** Errors of open(2) for files of a process that hidepid hides. */
const HIDDEN: readonly string[] = ["ENOENT", "EACCES", "EPERM"];

/**
 * Whether /proc shows processes that we may not trace; hidepid of proc(5) hides them. Any other failure, such as
 * EMFILE, is no sign of hidepid.
 */
export function seesProcesses(): boolean {
  try {
    // Not process.ppid: the sandbox does not allow getppid(2).
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

/**
 * The kernel shows a uid_map relative to the reader's namespace (user_namespaces(7)): that of a child never equals our
 * own.
 */
function usersOf(map: string): Peer["users"] {
  if (map === ours().users) return "own";
  return idCount(map) > 1 ? "subordinate" : "other";
}

function idCount(map: string): number {
  const counts = map.split("\n").map((line) => Number(line.trim().split(/\s+/)[2] ?? 0));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The pid of a process, -1 when it has ended, and the number of PID namespaces from that of /proc down to its own. */
function numbersOf(pidfd: number): { readonly pid: number; readonly depth: number } {
  return parseNumbers(readFileSync(`/proc/self/fdinfo/${pidfd}`, "utf8"));
}

function parseNumbers(text: string): { readonly pid: number; readonly depth: number } {
  const [, pid = "-1"] = /^Pid:\s*(-?\d+)$/m.exec(text) ?? [];
  const [, all = ""] = /^NSpid:\s*(.*)$/m.exec(text) ?? [];
  return { pid: Number(pid), depth: all.split(/\s+/).length };
}

function ours(): NonNullable<typeof own> {
  own ??= {
    users: readFileSync("/proc/self/uid_map", "utf8"),
    depth: parseNumbers(readStatus()).depth,
  };
  return own;
}

function readStatus(): string {
  return readFileSync("/proc/self/status", "utf8");
}

/** Whether a user id is this process's effective one, or root's, who can act as any user. */
export function isUserOrRoot(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}
