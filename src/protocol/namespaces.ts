import { readFileSync, statSync } from "node:fs";
import type { NamespaceRef } from "./messages.js";

/** Device and inode of a namespace's file: what tells it from others while it lives. */
export function namespaceId(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/**
 * A network namespace as the daemon shall remember it.
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

/** Whether the process that it was named by has ended; of one that was named by a file it is not known. */
export function hasEnded({ pid, started }: NamespaceRef): boolean {
  return pid !== null && startOf(pid) !== started;
}

/** When a process started, in clock ticks since the boot: proc_pid_stat(5), field 22. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
