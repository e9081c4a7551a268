/** Characters of the longest bar. */
const WIDTH = 60;

/**
 * Requests per second over time, one bar a line.
 * @param interval of each rate, in ms
 * @param away when the store was away, in ms
 */
export function plotRates(
  rates: readonly number[],
  interval: number,
  [gone, back]: readonly [number, number],
): string {
  const most = Math.max(1, ...rates);
  const lines = rates.map((rate, i) => {
    const at = (i + 1) * interval;
    const mark = at > gone && at <= back ? "x" : " ";
    const bar = "#".repeat(Math.round((rate * WIDTH) / most));
    return `${(at / 1000).toFixed(1).padStart(6)} s ${mark} ${rate.toFixed(0).padStart(6)} ${bar}`;
  });
  return [`requests/s (x: the store is away)`, ...lines].join("\n");
}
