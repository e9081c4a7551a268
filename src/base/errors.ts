/**
 * With which the process ends: 2 for a wrong command line; 126 for a COMMAND that cannot be executed and 127 for one
 * that is not found, as in shells; 1 for everything else.
 */
export type ExitStatus = 1 | 2 | 126 | 127;

/**
 * An error that the user can fix. The message is one line that names what was wrong and how to fix
 * it; it is shown without a stack trace.
 */
export class UserError extends Error {
  override readonly name = "UserError";
  readonly exitStatus: ExitStatus;

  constructor(message: string, exitStatus: ExitStatus = 1) {
    super(message);
    this.exitStatus = exitStatus;
  }
}

/** What a failed system call is told by, such as "ENOENT"; the message of an error that has no code. */
export function errnoOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.message;
}
