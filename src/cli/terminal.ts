import { readFileSync } from "node:fs";

/** How a process stands to its controlling terminal. */
export interface JobState {
  /** Its process group. */
  readonly group: number;
  /** The group to which the terminal sends its signals; null without a terminal. */
  readonly foregroundGroup: number | null;
}

/** Reads /proc/PID/stat, proc_pid_stat(5). */
export function parseJobState(stat: string): JobState {
  // The name in parentheses may hold anything; after it come state, ppid, pgrp, session, tty, tpgid.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [, , group, , terminal, foregroundGroup] = fields.map(Number);
  return { group, foregroundGroup: terminal === 0 ? null : foregroundGroup };
}

/** @param pid of a process, or our own; null when there is none of that number */
export function jobStateOf(pid: number | "self"): JobState | null {
  try {
    return parseJobState(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return null;
  }
}
