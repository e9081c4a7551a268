import { constants } from "node:os";
import { native } from "../sys/native.js";
import { type JobState, jobStateOf } from "./terminal.js";

const { EAGAIN } = constants.errno;

/** Signals that a terminal sends to its whole foreground group, COMMAND included. */
const TERMINAL_SIGNALS = ["SIGINT", "SIGQUIT", "SIGTSTP"] as const;
/** Signals that reach COMMAND only through us, or do no harm when they come twice. */
const FORWARDED_SIGNALS = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT"] as const;

/** Bases of the numbers that waitChild returns. */
const KILLED = 256;
const STOPPED = 512;

/** COMMAND, as spawnHeld gave it. */
interface Child {
  readonly pid: number;
  readonly pidfd: number;
  /** Ends what COMMAND leaves behind, and itself, by the signal. */
  readonly reaper?: number;
  readonly reaperSignal: number;
}

/**
 * Makes this process a transparent parent of COMMAND. Signals sent to this process alone are forwarded; those of the
 * terminal reach COMMAND directly, and are not sent twice. When job control stops COMMAND this process stops, too, so
 * that the shell sees one job. When COMMAND ends, all processes that it leaves behind are killed.
 * @param onEnd gets the exit status, 128 + n for signal n
 */
export function superviseChild(
  { pid, pidfd, reaper, reaperSignal }: Child,
  onEnd: (status: number) => void,
): void {
  const own = jobStateOf("self");
  const state = jobStateOf(pid);
  const forward: NodeJS.SignalsListener = (signal) => {
    native.pidfdSignal(pidfd, constants.signals[signal]);
  };
  const forwardUnlessFromTerminal: NodeJS.SignalsListener = (signal) => {
    if (!hearsTerminal(own(), state())) forward(signal);
  };
  for (const signal of FORWARDED_SIGNALS) process.on(signal, forward);
  for (const signal of TERMINAL_SIGNALS) process.on(signal, forwardUnlessFromTerminal);
  const reclaimTerminal = reaper === undefined ? () => undefined : terminalReclaimer(own());
  /** @returns the status of COMMAND, or null while it goes on */
  const lookAtCommand = (): number | null => {
    for (;;) {
      const status = native.waitChild(pidfd);
      if (status === -EAGAIN) return null;
      if (status < STOPPED) return exitStatusOf(status);
      // Without a terminal there is no shell that would continue this process: whoever stopped COMMAND
      // continues COMMAND alone, and the network would stay stopped.
      if (own()?.foregroundGroup === null) continue;
      stopLikewise(status - STOPPED, forwardUnlessFromTerminal);
    }
  };
  let ended: number | null = null;
  const look = (): void => {
    if (ended === null) {
      ended = lookAtCommand();
      if (ended !== null && reaper !== undefined) native.pidfdSignal(reaper, reaperSignal);
    }
    if (ended === null || (reaper !== undefined && native.waitChild(reaper) === -EAGAIN)) return;
    process.off("SIGCHLD", look);
    reclaimTerminal();
    onEnd(ended);
  };
  process.on("SIGCHLD", look);
}

/**
 * Whether COMMAND gets the terminal's signals directly, as this process does: both are in its foreground group.
 * Node does not tell who sent a signal, so one that kill(1) sends to this process then counts as the terminal's.
 */
function hearsTerminal(own: JobState | null, command: JobState | null): boolean {
  return own !== null && own.group === own.foregroundGroup && command?.group === own.group;
}

/** @returns gives the terminal back to our group, after a shell inside has given it to a job of its own */
function terminalReclaimer(own: JobState | null): () => void {
  if (own === null || own.foregroundGroup === null) return () => undefined;
  const terminal = native.openTerminal();
  return terminal < 0 ? () => undefined : () => native.reclaimTerminal(terminal, own.group);
}

/** @param status 0..255, or KILLED + signal */
function exitStatusOf(status: number): number {
  return status < KILLED ? status : 128 + (status - KILLED);
}

/** Stops this process by the signal that stopped COMMAND, until SIGCONT. #syscalls run: kill(0=@pid) */
function stopLikewise(signal: number, suspendListener: NodeJS.SignalsListener): void {
  // Without a listener SIGTSTP has its default action again.
  process.off("SIGTSTP", suspendListener);
  process.kill(process.pid, signal);
  process.on("SIGTSTP", suspendListener);
}
