import { env } from "node:process";
import type { Parameters } from "fast-check";

/** How long each property is tried, in seconds; run.sh asks for more. */
const { FUZZ_SECONDS = "1" } = env;
const seconds = Number(FUZZ_SECONDS);

/** As many runs as fit the time; a failure names its seed. */
export const forAWhile: Parameters<unknown> = {
  numRuns: Number.MAX_SAFE_INTEGER,
  interruptAfterTimeLimit: seconds * 1_000,
  markInterruptAsFailure: false,
};

/** Time limit of a test that tries properties one after the other. */
export const TIMEOUT = seconds * 1_000 + 30_000;
