/**
 * A monotonic clock.
 *
 * Not performance.now(): at its first use Node loads ten modules, which takes 1.9 ms of the start (m).
 * @returns ms since this process began, with fractions
 */
export function monotonicMs(): number {
  return process.uptime() * 1000;
}

/** The deadline of nothing. Deadlines are absolute, in ms of the clock that they are compared with. */
export const NEVER = Number.POSITIVE_INFINITY;
