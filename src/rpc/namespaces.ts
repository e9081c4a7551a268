import { readFileSync, statSync } from "node:fs";
import type { NamespaceRef } from "./messages.js";

/** The file of a process's network namespace. */
export function netnsOf(pid: number | "self"): string {
  return `/proc/${pid}/ns/net`;
}

/** Whether a file is of the network namespace that this process is in. @throws Error when there is none, or we may not look */
export function isOwnNetwork(netns: string): boolean {
  return namespaceId(netns) === namespaceId(netnsOf("self"));
}

/** DEVICE:INODE of a namespace's file. It is unique while the namespace exists. */
export function namespaceId(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/**
 * How the daemon recognises a network namespace.
 * @param pid the process that names it; null: a file names it
 */
export function namespaceRef(
  netns: string,
  userns: string | null,
  pid: number | null,
): NamespaceRef {
  const started = pid === null ? null : startOf(pid);
  return { netns, userns, id: namespaceId(netns), pid, started };
}

/** Whether the process that names the namespace has ended; false when a file names it. */
export function hasEnded({ pid, started }: NamespaceRef): boolean {
  return pid !== null && startOf(pid) !== started;
}

/**
 * The fields of proc_pid_stat(5) behind the program's name, which may hold anything: state, ppid, pgrp and so on.
 * @param stat text of /proc/PID/stat
 */
export function statFields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Start time of a process (starttime of proc_pid_stat(5)), in clock ticks since boot; null when it has ended. */
function startOf(pid: number): string | null {
  try {
    return statFields(readFileSync(`/proc/${pid}/stat`, "utf8"))[19] ?? null;
  } catch {
    return null;
  }
}
