import { type DropCounters, DropReason } from "../base/drop.js";
import { log } from "../base/log.js";
import type { Limits } from "../config/limits.js";

/** Of one kind, so that a guest cannot fill the log, in ms. */
const WARNING_INTERVAL = 60_000;

const GUIDE: Readonly<Partial<Record<DropReason, (limits: Limits) => string>>> = {
  [DropReason.LimitFlows]: ({ flows }) =>
    `more than ${flows} TCP connections: those idle for longest are reset (--max-flows)`,
  [DropReason.LimitDestination]: ({ flowsPerDestination: most }) =>
    `more than ${most} TCP connections to one port: those idle for longest are reset (--max-flows-per-destination)`,
  [DropReason.LimitHalfOpen]: ({ halfOpen }) =>
    `more than ${halfOpen} TCP connections wait for an answer: the oldest are given up (--max-half-open)`,
  [DropReason.LimitRate]: ({ newFlows }) =>
    `more than ${newFlows} TCP connections in a second lead nowhere: some are dropped (--max-new-flows)`,
  [DropReason.LimitMappingRate]: ({ newMappings }) =>
    `more than ${newMappings} UDP flows in a second are not answered: some are dropped (--max-new-mappings)`,
  [DropReason.LimitMappings]: ({ mappings }) =>
    `more than ${mappings} UDP and ping flows: those idle for longest end (--max-mappings)`,
  [DropReason.LimitDnsQueries]: ({ dnsQueries }) =>
    `more than ${dnsQueries} DNS queries under way: the oldest fail (--max-dns-queries)`,
  [DropReason.LimitDescriptors]: () =>
    "no file descriptor is left for this guest: new flows are refused, or those idle for longest end, until others do (raise the limit: ulimit -n)",
};

/** Counts what a limit costs a guest, and tells the log, seldom. */
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
    const guide = GUIDE[reason];
    if (guide !== undefined) log.warn(guide(this.#limits));
  }
}
