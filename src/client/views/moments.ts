/** Seconds of each unit, and from how many on docker counts in it. */
const UNITS = [
  { name: "year", seconds: 365 * 86_400, least: 2 },
  { name: "month", seconds: 30 * 86_400, least: 2 },
  { name: "week", seconds: 7 * 86_400, least: 2 },
  { name: "day", seconds: 86_400, least: 2 },
  { name: "hour", seconds: 3600, least: 2 },
  { name: "minute", seconds: 60, least: 2 },
] as const;

/** A span of time as docker says it, rounded down. @param seconds 0 or more */
export function spanText(seconds: number): string {
  const unit = UNITS.find((each) => seconds >= each.seconds * each.least);
  if (unit !== undefined) return `${Math.floor(seconds / unit.seconds)} ${unit.name}s`;
  if (seconds >= 3600) return "About an hour";
  if (seconds >= 60) return "About a minute";
  if (seconds >= 2) return `${Math.floor(seconds)} seconds`;
  return seconds >= 1 ? "1 second" : "Less than a second";
}

/** As docker writes a time. @param since milliseconds since 1970 */
export function momentText(since: number): string {
  return `${new Date(since).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`;
}
