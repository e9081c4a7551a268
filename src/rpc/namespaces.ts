import { readFileSync, statSync } from "node:fs";
import type { NamespaceRef } from "./messages.js";

/** DEVICE:INODE of a namespace's file: unique while the namespace lives. */
export function namespaceId(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/**
 * What the daemon remembers a network namespace by.
 * @param pid the process that it was named by, or null
 */
export function namespaceRef(
  netns: string,
  userns: string | null,
  pid: number | null,
): NamespaceRef {
  const started = pid === null ? null : startOf(pid);
  return { netns, userns, id: namespaceId(netns), pid, started };
}

/** Whether the process that it was named by has ended; false when it was named by a file. */
export function hasEnded({ pid, started }: NamespaceRef): boolean {
  return pid !== null && startOf(pid) !== started;
}

/** When a process started: starttime of proc_pid_stat(5), in clock ticks since the boot. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
