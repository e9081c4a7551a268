import { type DropCounters, DropReason } from "../base/drop.js";
import { log } from "../base/log.js";
import type { Limits } from "../config/limits.js";

/** Least time between two warnings about one limit, in ms, so that a guest cannot fill the log. */
const WARNING_INTERVAL = 60_000;

const WARNINGS: Readonly<Partial<Record<DropReason, (limits: Limits) => string>>> = {
  [DropReason.LimitFlows]: ({ flows }) =>
    `more than ${flows} TCP connections: the longest idle are reset (--max-flows)`,
  [DropReason.LimitDestination]: ({ flowsPerDestination: most }) =>
    `more than ${most} TCP connections to one port: the longest idle are reset (--max-flows-per-destination)`,
  [DropReason.LimitHalfOpen]: ({ halfOpen }) =>
    `more than ${halfOpen} half-open TCP connections: the oldest are closed (--max-half-open)`,
  [DropReason.LimitRate]: ({ newFlows }) =>
    `more than ${newFlows} new TCP connections per second without an answer: some are dropped (--max-new-flows)`,
  [DropReason.LimitMappingRate]: ({ newMappings }) =>
    `more than ${newMappings} new UDP flows per second without an answer: some are dropped (--max-new-mappings)`,
  [DropReason.LimitMappings]: ({ mappings }) =>
    `more than ${mappings} UDP and ping flows: the longest idle are closed (--max-mappings)`,
  [DropReason.LimitDnsQueries]: ({ dnsQueries }) =>
    `more than ${dnsQueries} DNS queries in progress: the oldest fail (--max-dns-queries)`,
  [DropReason.LimitDescriptors]: () =>
    "no file descriptor is left for this guest: new flows are refused, or the longest idle are closed (raise the limit: ulimit -n)",
};

/** Counts what a limit costs a guest, and logs a warning at most once a minute per limit. */
export class LimitReports {
  readonly #drops: DropCounters;
  readonly #limits: Limits;
  readonly #warnedAt = new Map<DropReason, number>();

  constructor(drops: DropCounters, limits: Limits) {
    this.#drops = drops;
    this.#limits = limits;
  }

  /** @param now in ms */
  report(reason: DropReason, now: number): void {
    this.#drops.count(reason);
    const warnedAt = this.#warnedAt.get(reason);
    if (warnedAt !== undefined && now - warnedAt < WARNING_INTERVAL) return;
    this.#warnedAt.set(reason, now);
    const warning = WARNINGS[reason];
    if (warning !== undefined) log.warn(warning(this.#limits));
  }
}
