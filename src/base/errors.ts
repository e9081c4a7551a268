import { oneLine } from "./printable.js";

/**
 * Exit status of the process: 2 for a wrong command line; as in shells, 126 for a COMMAND that cannot be executed and
 * 127 for one that is not found; 1 for everything else.
 */
export type ExitStatus = 1 | 2 | 126 | 127;

/**
 * An error that the user can fix. The message says what is wrong and how to fix it. It is shown without a stack trace,
 * as one line, whatever the user's texts in it are.
 */
export class UserError extends Error {
  override readonly name = "UserError";
  readonly exitStatus: ExitStatus;

  constructor(message: string, exitStatus: ExitStatus = 1) {
    super(oneLine(message));
    this.exitStatus = exitStatus;
  }
}

/** The code of an error, such as "ENOENT"; the message of an error without a code. */
export function errnoOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.message;
}

/**
 * What the log says of an error: one line of what the user or the system can change, which has an errno; of a fault of
 * ours where it happened, too.
 */
export function logText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UserError || "errno" in error) return error.message;
  return error.stack ?? error.message;
}
