/**
 * An error that the user can mend. The message is one line that names what was wrong and how to mend
 * it; it is shown without a stack trace.
 */
export class UserError extends Error {
  override readonly name = "UserError";
  /** 2 for a wrong command line, 1 for everything else. */
  readonly exitStatus: 1 | 2;

  constructor(message: string, exitStatus: 1 | 2 = 1) {
    super(message);
    this.exitStatus = exitStatus;
  }
}
