/** Codes of errors: CNI spec 1.0, "Error"; those of STATUS of 1.1; from 100 on a plugin's own. */
export const Code = {
  IncompatibleVersion: 1,
  InvalidEnvironment: 4,
  Io: 5,
  Undecodable: 6,
  InvalidConfig: 7,
  TryAgainLater: 11,
  NotAvailable: 50,
  NotAvailableAndLimited: 51,
  /** What the daemon refuses, or the machine. */
  Refused: 100,
  /** CHECK has found something else than ADD left. */
  Mismatch: 101,
} as const;

/** What a runtime is told instead of a result. */
export class CniFailure extends Error {
  readonly code: number;
  /** How to mend it; may be empty. */
  readonly details: string;

  constructor(code: number, message: string, details = "") {
    super(message);
    this.code = code;
    this.details = details;
  }
}
