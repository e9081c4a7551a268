/**
 * The time for measuring how long something takes: monotonic, whatever the wall clock does.
 *
 * Not performance.now(): its first use has Node load ten modules, 1.9 ms of a start.
 * @returns ms since this process began, with fractions
 */
export function monotonicMs(): number {
  return process.uptime() * 1000;
}

/** The deadline of what is not waited for. Deadlines are ms of the clock that they are compared with. */
export const NEVER = Number.POSITIVE_INFINITY;
