/** The generated part of docs/performance.md and its plots. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Cell } from "../cells.ts";
import { LOOPBACK } from "../helpers/index.ts";
import { METRICS, type MetricName } from "../metrics.ts";
import type { Summary } from "../summary.ts";
import { type BarGroup, barChart } from "./plot.ts";
import { reportText } from "./text.ts";

/** A part of the document that is written by a command. */
export interface Part {
  readonly begin: string;
  readonly end: string;
  readonly hasPlots: boolean;
  /** Of its headings. */
  readonly level: number;
}

export const BENCH: Part = {
  begin: "<!-- bench:begin, written by npm run bench -- --docs -->",
  end: "<!-- bench:end -->",
  hasPlots: true,
  level: 3,
};
export const PASTA: Part = {
  begin: "<!-- bench:pasta:begin, written by npm run bench:pasta -- --docs -->",
  end: "<!-- bench:pasta:end -->",
  hasPlots: false,
  level: 4,
};

interface Plot {
  readonly file: string;
  readonly title: string;
  readonly metric: MetricName;
  readonly shows: (cell: Cell) => boolean;
}

const isBulk = ({ workload }: Cell): boolean =>
  workload.kind === "bulk" || workload.kind === "published";
const isRate = ({ workload }: Cell): boolean =>
  workload.kind === "transactions" || workload.kind === "connections";

const PLOTS: readonly Plot[] = [
  {
    file: "throughput-1500.svg",
    title: "TCP throughput at MTU 1500",
    metric: "throughput",
    shows: (cell) => isBulk(cell) && cell.mtu === 1500,
  },
  {
    file: "throughput-65520.svg",
    title: "TCP throughput at MTU 65520",
    metric: "throughput",
    shows: (cell) => isBulk(cell) && cell.mtu === 65520,
  },
  {
    file: "cpu-per-gigabyte.svg",
    title: "CPU time per gigabyte, single stream",
    metric: "cpuPerGigabyte",
    shows: (cell) => /^tcp-(up|down)-/.test(cell.id),
  },
  {
    file: "rates.svg",
    title: "Requests and connections per second",
    metric: "rate",
    shows: isRate,
  },
  {
    file: "latency.svg",
    title: "Latency of a request, 99th percentile",
    metric: "p99",
    shows: ({ workload }) => workload.kind.startsWith("transactions"),
  },
  {
    file: "flows.svg",
    title: "CPU time per request over many flows",
    metric: "cpuPerOperation",
    shows: ({ workload }) => workload.kind === "flows",
  },
  {
    file: "ready.svg",
    title: "Start of the helper",
    metric: "ready",
    shows: ({ workload }) => workload.kind === "ready",
  },
  {
    file: "memory.svg",
    title: "Memory of the helper",
    metric: "rss",
    shows: () => true,
  },
];

/** Writes the part's plots beside the document and replaces the text between its markers. */
export function writeDocs(summary: Summary, document: string, part: Part): void {
  const plots = part.hasPlots ? writePlots(summary, join(dirname(document), "plots")) : "";
  const generated = `${plots}${reportText(summary, part.level)}`;
  writeFileSync(document, replaceGenerated(readFileSync(document, "utf8"), generated, part));
}

/** @returns the lines that show them */
function writePlots(summary: Summary, directory: string): string {
  mkdirSync(directory, { recursive: true });
  const images = PLOTS.flatMap((plot) => {
    const svg = drawPlot(summary, plot);
    if (svg === null) return [];
    writeFileSync(join(directory, plot.file), svg);
    return [`![${plot.title}](plots/${plot.file})`];
  });
  return `${images.join("\n\n")}\n\n`;
}

/** @throws RangeError if the text lacks the markers. */
export function replaceGenerated(text: string, generated: string, part: Part): string {
  const begin = text.indexOf(part.begin);
  const end = text.indexOf(part.end);
  if (begin < 0 || end < begin) {
    throw new RangeError(`no ${part.begin} … ${part.end} in the document`);
  }
  return `${text.slice(0, begin)}${part.begin}\n\n${generated}\n${text.slice(end)}`;
}

/** Null if nothing of it was measured. */
function drawPlot(summary: Summary, { title, metric, shows }: Plot): string | null {
  const groups = summary.record.cells
    .filter(shows)
    .map((cell) => barGroup(summary, cell, metric))
    .filter(({ bars }) => bars.length > 0);
  if (groups.length === 0) return null;
  const { unit, better } = METRICS[metric];
  const { machine, rounds, date } = summary.record;
  const where = `${machine.cores} cores, Linux ${machine.kernel.split("-")[0]}, ${date.slice(0, 10)}`;
  const shown = new Set(groups.flatMap(({ bars }) => bars.map(({ series }) => series)));
  const chart = {
    title,
    subtitle: `${unit}, ${better} is better; median and range of ${rounds} rounds; ${where}`,
    series: summary.contestants.filter((name) => shown.has(name)),
    groups,
  };
  return barChart(chart, LOOPBACK);
}

function barGroup(summary: Summary, cell: Cell, metric: MetricName): BarGroup {
  const bars = summary.contestants.flatMap((series) => {
    const figure = summary.figure(cell.id, series, metric);
    return figure === null ? [] : [{ series, figure }];
  });
  return { label: cell.title, bars };
}
