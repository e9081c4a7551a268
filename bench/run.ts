/** Alternating rounds: every cell of a round through every helper before the next round begins. */
import { type Cell, loopbackWorkload } from "./cells.ts";
import type { Durations } from "./durations.ts";
import { type Helper, NotAvailable } from "./helpers/helper.ts";
import { LOOPBACK, SUBJECT } from "./helpers/index.ts";
import { measureHelper, measureLoopback } from "./measure.ts";
import type { Metrics } from "./metrics.ts";
import type { Outcome, Sample } from "./record.ts";
import type { Workshop } from "./workshop.ts";

export interface Plan {
  readonly cells: readonly Cell[];
  readonly helpers: readonly Helper[];
  readonly rounds: number;
  readonly durations: Durations;
  /** No measurement begins after this many seconds. */
  readonly limitSeconds: number;
}

export interface Progress {
  /** Measurements done, and the maximum to do. */
  readonly done: number;
  readonly total: number;
  readonly sample: Sample;
}

export interface RunResult {
  readonly samples: readonly Sample[];
  /** False if the time was up before the last measurement. */
  readonly complete: boolean;
}

/** Runs the plan, in order, until it is done or its time is up. */
export async function run(
  workshop: Workshop,
  plan: Plan,
  onProgress: (progress: Progress) => void,
): Promise<RunResult> {
  const deadline = performance.now() + plan.limitSeconds * 1000;
  const samples: Sample[] = [];
  const measurements = [...schedule(workshop, plan)];
  for (const { cell, helper, round, measure } of measurements) {
    if (performance.now() > deadline) break;
    const sample = { cell: cell.id, helper, round, outcome: await attempt(measure) };
    samples.push(sample);
    onProgress({ done: samples.length, total: measurements.length, sample });
  }
  return { samples, complete: samples.length === measurements.length };
}

interface Measurement {
  readonly cell: Cell;
  readonly helper: string;
  readonly round: number;
  readonly measure: () => Promise<Metrics>;
}

function* schedule(workshop: Workshop, plan: Plan): Generator<Measurement> {
  const { cells, helpers, rounds, durations } = plan;
  for (let round = 1; round <= rounds; round++) {
    const loopback = oncePerWorkload(workshop, durations);
    for (const cell of cells) {
      for (const helper of helpers) {
        if (!hasPart(helper, cell)) continue;
        const measure = () => measureHelper(workshop, helper, cell, durations);
        yield { cell, helper: helper.name, round, measure };
      }
      const measure = loopback(cell);
      if (measure !== null) yield { cell, helper: LOOPBACK, round, measure };
    }
  }
}

function hasPart({ name, part, encrypts }: Helper, { workload }: Cell): boolean {
  if (workload.kind === "members") return name === SUBJECT || part === "members";
  if (workload.kind === "pasta") return name === SUBJECT || part === "pasta";
  if (workload.kind !== "overlay") return part === undefined || part === workload.kind;
  if (name === SUBJECT) return true;
  const hasKind = encrypts === undefined || encrypts === workload.encrypted;
  return part === "overlay" && hasKind && workload.load.kind !== "joins";
}

/** Cells with the same reference share one measurement of it in a round. */
function oncePerWorkload(
  workshop: Workshop,
  durations: Durations,
): (cell: Cell) => (() => Promise<Metrics>) | null {
  const measured = new Map<string, Promise<Metrics>>();
  return ({ workload }) => {
    const reference = loopbackWorkload(workload);
    if (reference === null) return null;
    const key = JSON.stringify(reference);
    return () => {
      const metrics = measured.get(key) ?? measureLoopback(workshop, reference, durations);
      measured.set(key, metrics);
      return metrics;
    };
  };
}

async function attempt(measure: () => Promise<Metrics>): Promise<Outcome> {
  try {
    return { kind: "measured", metrics: await measure() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: error instanceof NotAvailable ? "unavailable" : "failed", reason };
  }
}
