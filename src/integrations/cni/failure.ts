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
  /** The daemon refused it, or the operating system. */
  Refused: 100,
  /** CHECK found something other than what ADD left. */
  Mismatch: 101,
} as const;

/** The error object that a runtime gets instead of a result. */
export class CniFailure extends Error {
  readonly code: number;
  /** How to fix it; may be empty. */
  readonly details: string;

  constructor(code: number, message: string, details = "") {
    super(message);
    this.code = code;
    this.details = details;
  }
}
