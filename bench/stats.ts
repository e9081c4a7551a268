/** Arithmetic of the report. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** Never -0, which equals 0 in any order of the values. @throws RangeError for no values. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("the median of nothing");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] as number; // not empty, and the middle is within
  const lower = sorted.length % 2 === 1 ? upper : (sorted[middle - 1] as number);
  return (lower + upper) / 2 + 0;
}

/**
 * The least value that this part of the values does not exceed.
 * @param part above 0, at most 1
 * @throws RangeError for no values.
 */
export function quantile(values: readonly number[], part: number): number {
  if (values.length === 0) throw new RangeError("a quantile of nothing");
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * part) - 1] as number; // not empty, and within
}

/** @throws RangeError for no values. */
export function spread(values: readonly number[]): Spread {
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    count: values.length,
  };
}

/** value / base; infinite if only the base is 0, 1 if both are. */
export function ratio(value: number, base: number): number {
  return value === base ? 1 : value / base;
}
