import { readdirSync, readFileSync } from "node:fs";
import { isPid } from "../config/names.js";
import { statFields } from "./namespaces.js";

/** The PIDs of all processes that /proc shows. */
export function allProcesses(): number[] {
  return readdirSync("/proc").filter(isPid).map(Number);
}

/** @returns none when the process has ended, or has no arguments yet */
export function argumentsOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/** The PID of a process's parent; null when the process has ended. */
export function parentOf(pid: number): number | null {
  return look(pid)?.parent ?? null;
}

/** Whether a process is stopped, by SIGSTOP or Ctrl-Z. False when it has ended, or /proc does not show it. */
export function isStopped(pid: number): boolean {
  return look(pid)?.state === "T";
}

/**
 * Those that are stopped of a process and its parent, if that is Slipway, too: a daemon does not go on without its
 * supervisor.
 */
export function stoppedOf(pid: number): readonly number[] {
  const parent = parentOf(pid) ?? 0;
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
