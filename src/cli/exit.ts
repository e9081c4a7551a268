import { writeSync } from "node:fs";

const STDERR = 2;

/** Ends the process with one line on stderr. */
export function fail(message: string, exitStatus: number): never {
  try {
    writeSync(STDERR, `slipway: ${message}\n`);
  } catch {
    // Nobody reads stderr; the exit status still tells.
  }
  process.exit(exitStatus);
}
