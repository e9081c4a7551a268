import type { UserError } from "../base/errors.js";
import { logEnd } from "../base/log.js";

/**
 * Ends the process with one line on stderr, and in the log. What a command throws main.ts ends by this; a callback
 * of the loop, whose errors nobody catches, calls it itself.
 */
export function fail({ message, exitStatus }: UserError): never {
  logEnd(message);
  process.exit(exitStatus);
}
