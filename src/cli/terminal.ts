import { readFileSync } from "node:fs";

/** How a process stands to its controlling terminal. */
export interface TerminalState {
  readonly hasTerminal: boolean;
  /** Whether its process group is in the foreground, where the terminal's signals go. */
  readonly isForeground: boolean;
}

/** Reads /proc/PID/stat, proc_pid_stat(5). */
export function parseTerminalState(stat: string): TerminalState {
  // The name in parentheses may hold anything; after it come state, ppid, pgrp, session, tty, tpgid.
  const [, , group, , terminal, foregroundGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const hasTerminal = terminal !== "0";
  return { hasTerminal, isForeground: hasTerminal && group === foregroundGroup };
}

export function ownTerminalState(): TerminalState {
  return parseTerminalState(readFileSync("/proc/self/stat", "utf8"));
}
