/** The targets, for medians of one run on one machine. */
import type { Cell } from "./cells.ts";
import type { MetricName } from "./metrics.ts";

/** Whether a bound is a floor or a ceiling follows from the metric's direction. */
export type Bound =
  | { readonly kind: "helper"; readonly helper: string; readonly factor: number }
  | { readonly kind: "best-peer"; readonly factor: number }
  | { readonly kind: "own-cell"; readonly cell: string; readonly factor: number }
  | { readonly kind: "absolute"; readonly limit: number };

export interface Target {
  readonly title: string;
  readonly metric: MetricName;
  readonly applies: (cell: Cell) => boolean;
  readonly bound: Bound;
  /** Whose figure must reach it; absent: Slipway's. */
  readonly subject?: string;
}

const singleStream1500 = (cell: Cell): boolean => /^tcp-(up|down)-1500-/.test(cell.id);
const named =
  (...ids: readonly string[]) =>
  (cell: Cell): boolean =>
    ids.includes(cell.id);

export const TARGETS: readonly Target[] = [
  {
    title: "MTU 1500, single stream",
    metric: "throughput",
    applies: singleStream1500,
    bound: { kind: "helper", helper: "slirp4netns", factor: 8 },
  },
  {
    title: "MTU 1500, single stream",
    metric: "throughput",
    applies: singleStream1500,
    bound: { kind: "helper", helper: "pasta", factor: 4 },
  },
  {
    title: "MTU 65520, up",
    metric: "throughput",
    applies: (cell) => /^tcp-up-65520-/.test(cell.id),
    bound: { kind: "best-peer", factor: 1.5 },
  },
  {
    title: "MTU 65520, down",
    metric: "throughput",
    applies: (cell) => /^tcp-(8-)?down-65520/.test(cell.id),
    bound: { kind: "best-peer", factor: 1 },
  },
  {
    title: "published port, MTU 1500",
    metric: "throughput",
    applies: named("published-1500"),
    bound: { kind: "helper", helper: "slirp4netns", factor: 8 },
  },
  {
    title: "published port, MTU 65520",
    metric: "throughput",
    applies: named("published-65520"),
    bound: { kind: "helper", helper: "slirp4netns", factor: 1.5 },
  },
  {
    title: "bulk, CPU",
    metric: "cpuPerGigabyte",
    applies: (cell) => cell.workload.kind === "bulk" || cell.workload.kind === "published",
    bound: { kind: "best-peer", factor: 1 },
  },
  {
    title: "request/response",
    metric: "rate",
    applies: named("rr"),
    bound: { kind: "helper", helper: "slirp4netns", factor: 1 },
  },
  {
    title: "member to member, MTU 1500",
    metric: "throughput",
    applies: named("members-bulk"),
    bound: { kind: "absolute", limit: 8 },
  },
  {
    title: "member to member, MTU 1500",
    metric: "throughput",
    applies: named("members-bulk"),
    bound: { kind: "helper", helper: "veth-plain", factor: 1 },
  },
  {
    title: "member to member, request/response",
    metric: "rate",
    applies: named("members-rr"),
    bound: { kind: "helper", helper: "veth", factor: 0.5 },
  },
  {
    title: "overlay, plain, one TCP stream",
    metric: "throughput",
    applies: named("overlay-plain-tcp"),
    bound: { kind: "helper", helper: "vxlan", factor: 0.5 },
  },
  {
    title: "overlay, plain, one TCP stream",
    metric: "throughput",
    applies: named("overlay-plain-tcp"),
    bound: { kind: "absolute", limit: 5 },
  },
  {
    title: "overlay, encrypted, one TCP stream",
    metric: "throughput",
    applies: named("overlay-wg-tcp"),
    bound: { kind: "helper", helper: "wireguard-go", factor: 6 },
  },
  {
    title: "overlay, encrypted, one TCP stream",
    metric: "throughput",
    applies: named("overlay-wg-tcp"),
    bound: { kind: "absolute", limit: 2 },
  },
  {
    title: "overlay, request/response",
    metric: "rate",
    applies: named("overlay-plain-rr"),
    bound: { kind: "helper", helper: "vxlan", factor: 0.6 },
  },
  {
    title: "overlay, UDP 1,200 B without loss",
    metric: "rate",
    applies: named("overlay-plain-udp-segment"),
    bound: { kind: "absolute", limit: 300_000 },
  },
  {
    title: "overlay, member joins on A → resolves and answers on B",
    metric: "p99",
    applies: named("overlay-join"),
    bound: { kind: "absolute", limit: 100_000 },
  },
  {
    title: "overlay, delay, loss and reordering",
    metric: "throughput",
    applies: ({ workload }) => workload.kind === "overlay" && workload.link !== undefined,
    bound: { kind: "helper", helper: "underlay", factor: 0.8 },
  },
  {
    title: "connect + byte + close",
    metric: "rate",
    applies: named("connect-byte"),
    bound: { kind: "best-peer", factor: 1.2 },
  },
  {
    title: "request/response under bulk",
    metric: "p99",
    applies: named("rr-bulk-up", "rr-bulk-down", "rr-paced-up", "rr-paced-down"),
    bound: { kind: "best-peer", factor: 1 },
  },
  {
    title: "5,000 active flows",
    metric: "cpuPerOperation",
    applies: named("flows-5000"),
    bound: { kind: "own-cell", cell: "flows-10", factor: 1.3 },
  },
  {
    title: "small writes",
    metric: "throughput",
    applies: named("small-writes"),
    bound: { kind: "best-peer", factor: 2 },
  },
  {
    title: "UDP without loss",
    metric: "rate",
    applies: (cell) => /^udp-(up|down)-\d+$/.test(cell.id),
    bound: { kind: "best-peer", factor: 1.5 },
  },
  {
    title: "UDP without loss, UDP_SEGMENT senders",
    metric: "rate",
    applies: (cell) => /^udp-.*-segment$/.test(cell.id),
    bound: { kind: "best-peer", factor: 3 },
  },
  {
    title: "start",
    metric: "ready",
    applies: named("ready"),
    bound: { kind: "absolute", limit: 40 },
  },
  {
    title: "start",
    metric: "ready",
    applies: named("ready"),
    bound: { kind: "helper", helper: "pasta", factor: 1.5 },
  },
  {
    // Room for one stray wake-up in the measured 10 s; a timer would cause many.
    title: "idle, no periodic wake-ups",
    metric: "switches",
    applies: named("idle"),
    bound: { kind: "absolute", limit: 6 },
  },
  {
    title: "idle",
    metric: "rss",
    applies: named("idle"),
    bound: { kind: "absolute", limit: 60 },
  },
  {
    title: "idle",
    metric: "privateMemory",
    applies: named("idle"),
    bound: { kind: "absolute", limit: 12 },
  },
  {
    title: "4,000 idle flows",
    metric: "memoryPerFlow",
    applies: named("idle-flows"),
    bound: { kind: "absolute", limit: 3 },
  },
];
