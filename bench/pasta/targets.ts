/** What Slipway must reach in the role of pasta, beside the real one. */
import { REAL, SHARED } from "../helpers/podmans-pasta.ts";
import type { MetricName } from "../metrics.ts";
import type { Target } from "../targets.ts";

function target(
  title: string,
  metric: MetricName,
  cells: RegExp,
  factor: number,
  subject?: string,
): Target {
  return {
    title,
    metric,
    applies: ({ id }) => cells.test(id),
    bound: { kind: "helper", helper: REAL, factor },
    ...(subject === undefined ? {} : { subject }),
  };
}

export const PASTA_TARGETS: readonly Target[] = [
  target("pasta, TCP", "throughput", /^pasta-tcp-/, 1.5),
  target("pasta, published port", "throughput", /^pasta-published-/, 1),
  target("pasta, published port, CPU", "cpuPerGigabyte", /^pasta-published-/, 1),
  target("pasta, requests of 32 clients", "rate", /^pasta-requests-/, 1.5),
  target("pasta, UDP without loss", "rate", /^pasta-udp-/, 1.5),
  target("pasta, start", "ready", /^pasta-ready$/, 1),
  target("pasta, start, shared mode", "ready", /^pasta-ready$/, 0.3, SHARED),
  target("pasta, idle", "privateMemory", /^pasta-idle$/, 0.7),
  target("pasta, idle, shared mode", "privateMemory", /^pasta-idle$/, 0.05, SHARED),
];
