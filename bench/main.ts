/** `npm run bench`: parses options, measures, reports. */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { allCells, type Cell, selectCells } from "./cells.ts";
import type { Durations } from "./durations.ts";
import type { Helper } from "./helpers/helper.ts";
import { findHelpers, SUBJECT } from "./helpers/index.ts";
import { allowedCongestionControls, describeHelper, describeMachine } from "./machine.ts";
import { METRICS, type MetricName } from "./metrics.ts";
import { type Options, parseOptions } from "./options.ts";
import { PASTA_CELLS } from "./pasta/cells.ts";
import { RECORD_FORMAT, type RunRecord, readRecord, type Sample } from "./record.ts";
import { BENCH, PASTA, writeDocs } from "./report/docs.ts";
import { formatNumber } from "./report/format.ts";
import { reportText } from "./report/text.ts";
import { type Plan, type Progress, run } from "./run.ts";
import { ensureSubordinateIds } from "./subordinate-ids.ts";
import { Summary } from "./summary.ts";
import { openWorkshop } from "./workshop.ts";

const DOCUMENT = resolve(import.meta.dirname, "../docs/performance.md");

/** Maximum duration of a run, and of each of its measurements. */
interface Extent {
  readonly durations: Durations;
  /** Leaves room for the last measurement within the promised 2 and 20 minutes. */
  readonly limitSeconds: number;
}

const QUICK: Extent = { durations: { bulk: 1, load: 0.5, idle: 3 }, limitSeconds: 100 };
const FULL: Extent = { durations: { bulk: 2, load: 2, idle: 10 }, limitSeconds: 1140 };

/** Per core, before the run: above it the figures also measure something else. */
const BUSY_LOAD = 0.25;

/** Those that are measured by name only. */
function cellsOf({ pasta }: Options): readonly Cell[] {
  return pasta ? PASTA_CELLS : allCells(allowedCongestionControls());
}

function chooseCells(cells: readonly Cell[], options: Options): Cell[] {
  if (options.cells !== null) return selectCells(cells, options.cells);
  return cells.filter((cell) => cell.quick || !options.quick);
}

/** @throws RangeError for a name that belongs to no helper. */
function chooseHelpers(all: readonly Helper[], { helpers: names, pasta }: Options): Helper[] {
  const helpers = all.filter(
    ({ name, part }) => (part === "pasta") === pasta || (pasta && name === SUBJECT),
  );
  const unknown = names?.find((name) => helpers.every((helper) => helper.name !== name));
  if (unknown === undefined) {
    return helpers.filter(({ name }) => names?.includes(name) ?? true);
  }
  throw new RangeError(
    `no helper is named ${unknown}; available: ${helpers.map(({ name }) => name).join(" ")}`,
  );
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

function noteProgress({ done, total, sample }: Progress): void {
  note(`[${done}/${total}] ${sample.cell}, ${sample.helper}: ${outcomeText(sample)}`);
}

function outcomeText({ outcome }: Sample): string {
  if (outcome.kind !== "measured") return `${outcome.kind}: ${outcome.reason}`;
  const figures = Object.entries(outcome.metrics) as [MetricName, number][];
  return figures
    .map(([metric, value]) => `${metric} ${formatNumber(value)} ${METRICS[metric].unit}`)
    .join(", ");
}

async function measure(options: Options): Promise<RunRecord> {
  ensureSubordinateIds();
  const workshop = openWorkshop();
  const { helpers, missing } = findHelpers(options.peers, workshop.directory);
  for (const name of missing) note(`${name} is not installed and is not measured`);
  if (missing.includes(SUBJECT)) note("build it first: npm run setup");

  const { durations, limitSeconds } = options.quick ? QUICK : FULL;
  const plan: Plan = {
    cells: chooseCells(cellsOf(options), options),
    helpers: chooseHelpers(helpers, options),
    rounds: options.rounds,
    durations,
    limitSeconds,
  };
  const descriptions = plan.helpers.map(describeHelper);
  const machine = describeMachine();
  if (machine.load > BUSY_LOAD * machine.cores) {
    note(`the machine is busy (load ${machine.load.toFixed(2)}): ratios will be noise`);
  }
  const date = new Date();
  const { samples, complete } = await run(workshop, plan, noteProgress);
  return {
    format: RECORD_FORMAT,
    date: date.toISOString(),
    seconds: (Date.now() - date.getTime()) / 1000,
    rounds: plan.rounds,
    complete,
    durations,
    machine,
    helpers: descriptions,
    cells: plan.cells,
    samples,
  };
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv);
  if (options.list) {
    for (const { id, title } of cellsOf(options)) {
      process.stdout.write(`${id.padEnd(22)} ${title}\n`);
    }
    return;
  }
  const record = options.from === null ? await measure(options) : readRecord(options.from);
  if (options.json !== null) {
    writeFileSync(options.json, `${JSON.stringify(record, null, 1)}\n`);
  }
  const summary = new Summary(record);
  if (options.docs) writeDocs(summary, DOCUMENT, options.pasta ? PASTA : BENCH);
  process.stdout.write(`\n${reportText(summary, 2)}`);
}

/** Wrong names and unusable files: errors that a user can fix get one line, without a trace. */
function isUsersError(error: unknown): error is Error {
  return error instanceof RangeError || (error instanceof Error && "syscall" in error);
}

try {
  await main();
} catch (error) {
  if (!isUsersError(error)) throw error;
  note(`bench: ${error.message}`);
  process.exitCode = 2;
}
