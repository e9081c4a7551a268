import { openSync, readSync } from "node:fs";
import { statFields } from "../rpc/namespaces.js";

/** How a process stands to its controlling terminal. */
export interface JobState {
  /** Its process group. */
  readonly group: number;
  /** The group to which the terminal sends its signals; null without a terminal. */
  readonly foregroundGroup: number | null;
}

/** Reads /proc/PID/stat, proc_pid_stat(5). */
export function parseJobState(stat: string): JobState {
  // state, ppid, pgrp, session, tty, tpgid
  const [, , group, , terminal, foregroundGroup] = statFields(stat).map(Number);
  return { group, foregroundGroup: terminal === 0 ? null : foregroundGroup };
}

/** proc_pid_stat(5) has 52 fields, most of them short. */
const LONGEST_STAT = 4096;

/**
 * Opens the job state of a process, which can then be read in the sandbox, too. #syscalls run: pread64
 * @param pid "self": of this process
 * @returns reads the state; it returns null once the process is gone
 */
export function jobStateOf(pid: number | "self"): () => JobState | null {
  const buffer = Buffer.alloc(LONGEST_STAT);
  try {
    const fd = openSync(`/proc/${pid}/stat`, "r");
    return () => {
      try {
        return parseJobState(buffer.toString("utf8", 0, readSync(fd, buffer, 0, LONGEST_STAT, 0)));
      } catch {
        return null;
      }
    };
  } catch {
    return () => null;
  }
}
