/** Samples of a run turned into figures: medians, spread, ratios, verdicts. */
import { LOOPBACK, SUBJECT } from "./helpers/index.ts";
import { SHARED } from "./helpers/podmans-pasta.ts";
import { better, METRIC_NAMES, METRICS, type MetricName } from "./metrics.ts";
import { PASTA_TARGETS } from "./pasta/targets.ts";
import type { RunRecord, Sample } from "./record.ts";
import { ratio, type Spread, spread } from "./stats.ts";
import { type Bound, TARGETS, type Target } from "./targets.ts";

const ALL_TARGETS = [...TARGETS, ...PASTA_TARGETS];
/** Slipway in another form is no peer of it. */
const OWN: readonly string[] = [SUBJECT, SHARED];

/** The figures of one run. */
export class Summary {
  readonly record: RunRecord;
  readonly #samples: ReadonlyMap<string, readonly Sample[]>;

  constructor(record: RunRecord) {
    this.record = record;
    this.#samples = Map.groupBy(record.samples, ({ cell, helper }) => key(cell, helper));
  }

  /** Names of the helpers, in the order of the run, loopback last if it was measured. */
  get contestants(): string[] {
    const helpers = this.record.helpers.map(({ name }) => name);
    const loopback = this.record.samples.some(({ helper }) => helper === LOOPBACK);
    return loopback ? [...helpers, LOOPBACK] : helpers;
  }

  /** Metrics that at least one measurement reported. */
  get metrics(): MetricName[] {
    return METRIC_NAMES.filter((metric) =>
      this.record.samples.some(
        ({ outcome }) => outcome.kind === "measured" && outcome.metrics[metric] !== undefined,
      ),
    );
  }

  /** Null if there was no such measurement, or none succeeded. */
  figure(cell: string, helper: string, metric: MetricName): Spread | null {
    const values = this.#of(cell, helper).flatMap(({ outcome }) => {
      const value = outcome.kind === "measured" ? outcome.metrics[metric] : undefined;
      return value === undefined ? [] : [value];
    });
    return values.length === 0 ? null : spread(values);
  }

  /** Why a figure lacks measurements; empty if it has all. */
  troubles(cell: string, helper: string): Exclude<Sample["outcome"], { kind: "measured" }>[] {
    return this.#of(cell, helper)
      .map(({ outcome }) => outcome)
      .filter((outcome) => outcome.kind !== "measured");
  }

  /** The best median among Slipway's peers; null without peers. */
  bestPeer(cell: string, metric: MetricName): number | null {
    const medians = this.record.helpers
      .filter(({ name }) => !OWN.includes(name))
      .map(({ name }) => this.median(cell, name, metric))
      .filter((value) => value !== null);
    return medians.length === 0 ? null : medians.reduce((a, b) => better(metric, a, b));
  }

  /** Ratio of Slipway's median to another's. */
  subjectRatio(cell: string, metric: MetricName, base: number | null): number | null {
    const own = this.median(cell, SUBJECT, metric);
    return own === null || base === null ? null : ratio(own, base);
  }

  median(cell: string, helper: string, metric: MetricName): number | null {
    return this.figure(cell, helper, metric)?.median ?? null;
  }

  #of(cell: string, helper: string): readonly Sample[] {
    return this.#samples.get(key(cell, helper)) ?? [];
  }
}

function key(cell: string, helper: string): string {
  return `${cell}\n${helper}`;
}

export interface Verdict {
  readonly target: Target;
  readonly cell: string;
  /** Slipway's median; null without a measurement. */
  readonly measured: number | null;
  /** Its lower or upper bound; null if what it derives from was not measured. */
  readonly needed: number | null;
  /** Null if either is missing. */
  readonly met: boolean | null;
}

/** Every target on every cell of the run that it applies to. */
export function verdicts(summary: Summary, targets: readonly Target[] = ALL_TARGETS): Verdict[] {
  return targets.flatMap((target) =>
    summary.record.cells.filter(target.applies).map(({ id }) => verdict(summary, target, id)),
  );
}

function verdict(summary: Summary, target: Target, cell: string): Verdict {
  const { metric, bound, subject = SUBJECT } = target;
  const measured = summary.median(cell, subject, metric);
  const needed = limit(summary, bound, cell, metric);
  const met = measured === null || needed === null ? null : isWithin(metric, measured, needed);
  return { target, cell, measured, needed, met };
}

function isWithin(metric: MetricName, measured: number, needed: number): boolean {
  return METRICS[metric].better === "higher" ? measured >= needed : measured <= needed;
}

function limit(summary: Summary, bound: Bound, cell: string, metric: MetricName): number | null {
  switch (bound.kind) {
    case "absolute":
      return bound.limit;
    case "helper":
      return times(bound.factor, summary.median(cell, bound.helper, metric));
    case "best-peer":
      return times(bound.factor, summary.bestPeer(cell, metric));
    case "own-cell":
      return times(bound.factor, summary.median(bound.cell, SUBJECT, metric));
  }
}

function times(factor: number, base: number | null): number | null {
  return base === null ? null : factor * base;
}
