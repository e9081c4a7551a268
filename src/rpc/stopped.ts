import { readFileSync } from "node:fs";
import { statFields } from "./namespaces.js";

/** Whether a process is stopped, by SIGSTOP or Ctrl-Z. False when it has ended, or /proc does not show it. */
export function isStopped(pid: number): boolean {
  return look(pid)?.state === "T";
}

/**
 * Those that are stopped of a process and its parent, if that is Slipway, too: a daemon does not go on without its
 * supervisor.
 */
export function stoppedOf(pid: number): readonly number[] {
  const parent = look(pid)?.parent ?? 0;
  const isOurs = look(parent)?.name === "slipway";
  return [...(isOurs ? [parent] : []), pid].filter(isStopped);
}

interface Look {
  readonly name: string;
  readonly state: string;
  readonly parent: number;
}

/** proc_pid_stat(5). */
function look(pid: number): Look | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state = "", parent] = statFields(stat);
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    return { name, state, parent: Number(parent) };
  } catch {
    return null;
  }
}
