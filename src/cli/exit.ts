import { logEnd } from "../base/log.js";

/** Ends the process with one line on stderr, and in the log. */
export function fail(message: string, exitStatus: number): never {
  logEnd(message);
  process.exit(exitStatus);
}
