/** `npm run bench`: parses options, measures, reports. */
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { allCells, type Cell, selectCells } from "./cells.ts";
import type { Helper } from "./helpers/helper.ts";
import { findHelpers, SUBJECT } from "./helpers/index.ts";
import { Launcher, unprivilegedIdentity } from "./launch.ts";
import { allowedCongestionControls, describeHelper, describeMachine } from "./machine.ts";
import type { Durations } from "./measure.ts";
import { METRICS, type MetricName } from "./metrics.ts";
import { compilePrograms } from "./programs.ts";
import { RECORD_FORMAT, type RunRecord, readRecord, type Sample } from "./record.ts";
import { writeDocs } from "./report/docs.ts";
import { formatNumber } from "./report/format.ts";
import { reportText } from "./report/text.ts";
import { type Plan, type Progress, run } from "./run.ts";
import { Summary } from "./summary.ts";

const DOCUMENT = resolve(import.meta.dirname, "../docs/performance.md");

/** How much of a run: which cells, how long each, and when to stop whatever happens. */
interface Extent {
  readonly durations: Durations;
  /** Leaves room for the last measurement below the limit that is promised: 2 and 20 minutes. */
  readonly limitSeconds: number;
}

const QUICK: Extent = { durations: { bulk: 1, load: 0.5, idle: 3 }, limitSeconds: 100 };
const FULL: Extent = { durations: { bulk: 2, load: 2, idle: 10 }, limitSeconds: 1140 };

interface Options {
  readonly quick: boolean;
  readonly rounds: number;
  readonly cells: readonly string[] | null;
  readonly helpers: readonly string[] | null;
  readonly peers: ReadonlyMap<string, string>;
  readonly json: string | null;
  readonly from: string | null;
  readonly docs: boolean;
  readonly list: boolean;
}

function parseOptions(argv: readonly string[]): Options {
  const words = (text: string): string[] => text.split(",").filter(Boolean);
  const command = new Command("bench")
    .description("Slipway, slirp4netns, pasta and plain loopback, side by side")
    .option("--quick", "a few cells, briefly: under 2 minutes instead of under 20", false)
    .option("--rounds <n>", "alternating rounds", parseRounds, 3)
    .option("--cells <ids>", "cells to measure, comma-separated, * allowed", words)
    .option("--helpers <names>", "helpers to measure, comma-separated", words)
    .option("--peer <name=path>", "one more peer: a pasta, or of slirp4netns's kind", parsePeer)
    .option("--json <file>", "write everything that was measured")
    .option("--from <file>", "report on such a file instead of measuring")
    .option("--docs", "write docs/performance.md and its plots", false)
    .option("--list", "list the cells and end", false)
    .parse(argv);
  const parsed = command.opts<{ peer?: Map<string, string> } & Partial<Options>>();
  return {
    quick: parsed.quick ?? false,
    rounds: parsed.rounds ?? 3,
    cells: parsed.cells ?? null,
    helpers: parsed.helpers ?? null,
    peers: parsed.peer ?? new Map(),
    json: parsed.json ?? null,
    from: parsed.from ?? null,
    docs: parsed.docs ?? false,
    list: parsed.list ?? false,
  };
}

function parseRounds(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1) return rounds;
  throw new InvalidArgumentError("A whole number of at least 1 is wanted.");
}

function parsePeer(text: string, peers: Map<string, string> = new Map()): Map<string, string> {
  const [, name, path] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || path === undefined)
    throw new InvalidArgumentError("NAME=PATH, please.");
  return peers.set(name, resolve(path));
}

function chooseCells(cells: readonly Cell[], options: Options): Cell[] {
  if (options.cells !== null) return selectCells(cells, options.cells);
  return cells.filter((cell) => cell.quick || !options.quick);
}

/** @throws RangeError for a name that no helper has. */
function chooseHelpers(helpers: readonly Helper[], names: readonly string[] | null): Helper[] {
  const unknown = names?.find((name) => helpers.every((helper) => helper.name !== name));
  if (unknown === undefined) {
    return helpers.filter(({ name }) => names?.includes(name) ?? true);
  }
  throw new RangeError(
    `no helper is named ${unknown}; there are: ${helpers.map(({ name }) => name).join(" ")}`,
  );
}

/** A directory for programs and sockets, open to the unprivileged user, gone when the bench ends. */
function makeWorkDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "slipway-bench-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => process.exit(130));
  }
  const identity = unprivilegedIdentity();
  if (identity !== null) chownSync(directory, identity.uid, identity.gid);
  chmodSync(directory, 0o755);
  return directory;
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
  const directory = makeWorkDirectory();
  const { helpers, missing } = findHelpers(options.peers, directory);
  for (const name of missing) note(`${name} is not here and not measured`);
  if (missing.includes(SUBJECT)) note("build it first: npm run setup");

  const { durations, limitSeconds } = options.quick ? QUICK : FULL;
  const plan: Plan = {
    cells: chooseCells(allCells(allowedCongestionControls()), options),
    helpers: chooseHelpers(helpers, options.helpers),
    rounds: options.rounds,
    durations,
    limitSeconds,
  };
  const programs = compilePrograms(directory);
  const workshop = { programs, launcher: new Launcher(programs.guard) };
  const machine = describeMachine();
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
    helpers: plan.helpers.map(describeHelper),
    cells: plan.cells,
    samples,
  };
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv);
  if (options.list) {
    for (const { id, title } of allCells(allowedCongestionControls())) {
      process.stdout.write(`${id.padEnd(22)} ${title}\n`);
    }
    return;
  }
  const record = options.from === null ? await measure(options) : readRecord(options.from);
  if (options.json !== null) {
    writeFileSync(options.json, `${JSON.stringify(record, null, 1)}\n`);
  }
  const summary = new Summary(record);
  if (options.docs) writeDocs(summary, DOCUMENT);
  process.stdout.write(`\n${reportText(summary, 2)}`);
}

try {
  await main();
} catch (error) {
  // What a user can mend is told in a line; anything else keeps its trace.
  if (!(error instanceof RangeError)) throw error;
  note(`bench: ${error.message}`);
  process.exitCode = 2;
}
