/** What can be measured. A cell reports some of these; units and direction are always the same. */

export interface MetricInfo {
  readonly title: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
}

export const METRICS = {
  throughput: { title: "Throughput", unit: "Gbit/s", better: "higher" },
  cpuPerGigabyte: { title: "CPU time of the helper per GB", unit: "s/GB", better: "lower" },
  rate: { title: "Operations", unit: "1/s", better: "higher" },
  p50: { title: "Latency, median", unit: "µs", better: "lower" },
  p99: { title: "Latency, 99th percentile", unit: "µs", better: "lower" },
  cpuPerOperation: {
    title: "CPU time of the helper per operation",
    unit: "µs",
    better: "lower",
  },
  ready: { title: "From exec to ready", unit: "ms", better: "lower" },
  switches: { title: "Context switches while idle", unit: "1/min", better: "lower" },
  rss: { title: "Resident memory", unit: "MB", better: "lower" },
  privateMemory: { title: "Private dirty memory", unit: "MB", better: "lower" },
  memoryPerFlow: { title: "Resident memory per idle flow", unit: "kB", better: "lower" },
} as const satisfies Record<string, MetricInfo>;

export type MetricName = keyof typeof METRICS;

export type Metrics = Partial<Record<MetricName, number>>;

export const METRIC_NAMES = Object.keys(METRICS) as MetricName[];

/** The better of two values of a metric. */
export function better(metric: MetricName, a: number, b: number): number {
  return METRICS[metric].better === "higher" ? Math.max(a, b) : Math.min(a, b);
}
