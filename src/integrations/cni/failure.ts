/** Error codes: CNI spec 1.0, "Error"; 50 and 51 for STATUS, spec 1.1; from 100 on those of the plugin itself. */
export const Code = {
  IncompatibleVersion: 1,
  InvalidEnvironment: 4,
  Io: 5,
  Undecodable: 6,
  InvalidConfig: 7,
  TryAgainLater: 11,
  NotAvailable: 50,
  NotAvailableAndLimited: 51,
  /** By the daemon, or by the operating system. */
  Refused: 100,
  /** CHECK found something other than what ADD had set up. */
  Mismatch: 101,
} as const;

/** A failure that the runtime gets as an error object instead of a result. */
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
