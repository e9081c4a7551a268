const HOUR = 3600;
const DAY = 24 * HOUR;

/** From how many seconds on docker says what; in text, or in units of so many seconds. */
const SPANS: readonly (readonly [from: number, text: string, unit: number | null])[] = [
  [2 * 365 * DAY, "years", 365 * DAY],
  [2 * 30 * DAY, "months", 30 * DAY],
  [2 * 7 * DAY, "weeks", 7 * DAY],
  [2 * DAY, "days", DAY],
  [2 * HOUR, "hours", HOUR],
  [HOUR, "About an hour", null],
  [2 * 60, "minutes", 60],
  [60, "About a minute", null],
  [2, "seconds", 1],
  [1, "1 second", null],
];

/** A span of time as docker says it, rounded down. @param seconds 0 or more */
export function spanText(seconds: number): string {
  const span = SPANS.find(([from]) => seconds >= from);
  if (span === undefined) return "Less than a second";
  const [, text, unit] = span;
  return unit === null ? text : `${Math.floor(seconds / unit)} ${text}`;
}

/** As docker writes a time. @param since milliseconds since 1970 */
export function momentText(since: number): string {
  return `${new Date(since).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
}
