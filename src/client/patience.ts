import { UserError } from "../base/errors.js";
import { stoppedOf } from "../rpc/processes.js";

/** How often to look at a process that does not answer, in ms. */
export const LOOK = 500;

/** Looks in a row that must find it stopped: it may be about to go on. */
const STOPPED_LOOKS = 2;

/** Who is waited for. */
export interface Awaited {
  /** For the message. */
  readonly name: string;
  /** Its PID; null: it is not known. */
  readonly pid: () => number | null;
  /** How long it may take, in looks. */
  readonly mostLooks: number;
  /** What to do when it runs and does not answer: the end of a sentence. */
  readonly advice: (pid: number) => string;
}

/**
 * How long to wait for an answer. Time is counted in looks, so that a process that was stopped itself first reads what
 * has come. native/launcher/shared/silence.c has the same limits and sentences for the daemon.
 */
export class Patience {
  readonly #awaited: Awaited;
  #looks = 0;
  #stoppedLooks = 0;

  constructor(awaited: Awaited) {
    this.#awaited = awaited;
  }

  /** Call it when an answer has come. */
  reset(): void {
    this.#looks = 0;
    this.#stoppedLooks = 0;
  }

  /** Call it every LOOK ms. @throws UserError when it makes no sense to wait on */
  look(): void {
    const pid = this.#awaited.pid();
    const stopped = pid === null ? [] : stoppedOf(pid);
    this.#looks += 1;
    this.#stoppedLooks = stopped.length > 0 ? this.#stoppedLooks + 1 : 0;
    if (this.#looks < this.#awaited.mostLooks && this.#stoppedLooks < STOPPED_LOOKS) return;
    throw new UserError(silenceOf(this.#awaited, pid, stopped));
  }
}

function silenceOf(
  { name, advice }: Awaited,
  pid: number | null,
  stopped: readonly number[],
): string {
  if (pid === null) return `${name} does not answer`;
  const what = `${name} (process ${pid}) does not answer`;
  if (stopped.length === 0) return `${what}: ${advice(pid)}`;
  return `${what}, as it is stopped: kill -CONT ${stopped.join(" ")}, and try again`;
}
