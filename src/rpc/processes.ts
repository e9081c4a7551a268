import { readdirSync, readFileSync } from "node:fs";
import { isPid } from "../config/names.js";
import { statFields } from "./namespaces.js";

/** The PIDs of all processes that /proc shows. */
export function allProcesses(): number[] {
  return readdirSync("/proc").filter(isPid).map(Number);
}

/** How deep this process is in PID namespaces; undefined until it is read. */
let ownDepth: number | null | undefined;

/**
 * Whether a process is this user's, and not in a PID namespace below ours: programs in containers may give themselves
 * any arguments.
 */
export function isOwnProcess(pid: number): boolean {
  ownDepth ??= depthOf("self");
  return ownDepth !== null && depthOf(pid) === ownDepth;
}

/** The number of PID namespaces that a process of ours is in; null: it is another user's, or has ended. */
function depthOf(pid: number | "self"): number | null {
  const status = statusOf(pid);
  const [, uid = ""] = /^Uid:\t(\d+)/m.exec(status) ?? [];
  const [, pids = ""] = /^NSpid:\t(.*)$/m.exec(status) ?? [];
  return uid === `${process.getuid?.()}` ? pids.split("\t").length : null;
}

function statusOf(pid: number | "self"): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
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
function isStopped(pid: number): boolean {
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
