/** The report as Markdown that is also readable in a terminal. */
import { LOOPBACK, SUBJECT } from "../helpers/index.ts";
import { METRICS, type MetricName } from "../metrics.ts";
import type { RunRecord } from "../record.ts";
import { type Summary, type Verdict, verdicts } from "../summary.ts";
import type { Bound } from "../targets.ts";
import { formatNumber, formatRatio, formatSpread, formatTable } from "./format.ts";

/** The complete report, with headings of the given level. */
export function reportText(summary: Summary, level: number): string {
  const heading = `${"#".repeat(level)} `;
  const sections = [
    ["Where and how", circumstances(summary.record)],
    ["Targets", targetTable(summary)],
    ...summary.metrics.map((metric) => [metricTitle(metric), metricTable(summary, metric)]),
    ["Missing measurements", troubleList(summary)],
  ] as const;
  return sections
    .filter(([, body]) => body !== "")
    .map(([title, body]) => `${heading}${title}\n\n${body}\n`)
    .join("\n");
}

function circumstances({ machine, helpers, durations, ...run }: RunRecord): string {
  const kind = machine.virtual ? "virtual machine" : "machine";
  const ended = run.complete ? "" : ", **ended early by its time limit**";
  return [
    `- ${run.date.slice(0, 10)}, ${kind} with ${machine.cores} × ${machine.processor}, ` +
      `${formatNumber(machine.memory / 1e9)} GB; load average before the run ${machine.load.toFixed(2)}`,
    `- ${machine.distribution}, Linux ${machine.kernel}, host congestion control ` +
      `${machine.congestion}, tcp_rmem ${machine.tcpReceiveMemory}, tcp_wmem ${machine.tcpSendMemory}`,
    ...helpers.map(({ name, version }) => `- ${name}: ${version}`),
    `- ${machine.iperf3}; Node ${machine.node}; commit ${machine.commit ?? "unknown"}`,
    `- ${run.rounds} alternating rounds in ${formatNumber(run.seconds / 60)} min${ended}; bulk ` +
      `${durations.bulk} s, requests ${durations.load} s, idle ${durations.idle} s; a fresh ` +
      "namespace each time; median (min–max)",
  ].join("\n");
}

function metricTitle(metric: MetricName): string {
  const { title, unit, better } = METRICS[metric];
  return `${title}, ${unit} (${better} is better)`;
}

function metricTable(summary: Summary, metric: MetricName): string {
  const contestants = summary.contestants.filter((helper) => measures(summary, helper, metric));
  const ratios = ratioColumns(summary, contestants);
  const cells = summary.record.cells.filter(({ id }) =>
    contestants.some((helper) => summary.figure(id, helper, metric) !== null),
  );
  const rows = cells.map(({ id, title }) => [
    title,
    ...contestants.map((helper) => figureText(summary, id, helper, metric)),
    ...ratios.map(({ base }) => formatRatio(summary.subjectRatio(id, metric, base(id, metric)))),
  ]);
  const header = ["", ...contestants, ...ratios.map(({ title }) => title)];
  return formatTable(header, rows, ["left", ...header.slice(1).map(() => "right" as const)]);
}

interface RatioColumn {
  readonly title: string;
  readonly base: (cell: string, metric: MetricName) => number | null;
}

/** Ratios of Slipway to the best peer and to loopback, if they are in the table. */
function ratioColumns(summary: Summary, contestants: readonly string[]): RatioColumn[] {
  if (!contestants.includes(SUBJECT)) return [];
  const columns: RatioColumn[] = [];
  if (contestants.some((name) => name !== SUBJECT && name !== LOOPBACK)) {
    columns.push({ title: "to best peer", base: (cell, metric) => summary.bestPeer(cell, metric) });
  }
  if (contestants.includes(LOOPBACK)) {
    const base = (cell: string, metric: MetricName) => summary.median(cell, LOOPBACK, metric);
    columns.push({ title: "to loopback", base });
  }
  return columns;
}

function measures(summary: Summary, helper: string, metric: MetricName): boolean {
  return summary.record.cells.some(({ id }) => summary.figure(id, helper, metric) !== null);
}

function figureText(summary: Summary, cell: string, helper: string, metric: MetricName): string {
  const figure = summary.figure(cell, helper, metric);
  if (figure !== null) return formatSpread(figure);
  return summary.troubles(cell, helper)[0]?.kind ?? "–";
}

function targetTable(summary: Summary): string {
  const all = verdicts(summary);
  const rows = all.map((verdict) => {
    const { target, cell, measured, needed } = verdict;
    const { unit, better } = METRICS[target.metric];
    return [
      mark(verdict),
      target.title,
      cell,
      measured === null ? "–" : `${formatNumber(measured)} ${unit}`,
      `${better === "higher" ? "≥" : "≤"} ${needed === null ? "?" : formatNumber(needed)}`,
      boundText(target.bound),
    ];
  });
  if (rows.length === 0) return "";
  const header = ["", "target", "cell", "measured", "needed", "which is"];
  return formatTable(header, rows, ["left", "left", "left", "right", "right", "left"]);
}

function mark({ met }: Verdict): string {
  if (met === null) return "no data";
  return met ? "✓ met" : "✗ missed";
}

function boundText(bound: Bound): string {
  switch (bound.kind) {
    case "absolute":
      return "a fixed limit";
    case "helper":
      return `${formatRatio(bound.factor)} ${bound.helper}`;
    case "best-peer":
      return `${formatRatio(bound.factor)} the best peer`;
    case "own-cell":
      return `${formatRatio(bound.factor)} its own ${bound.cell}`;
  }
}

function troubleList(summary: Summary): string {
  const lines = summary.record.cells.flatMap(({ id }) =>
    summary.contestants.flatMap((helper) => {
      const troubles = summary.troubles(id, helper);
      const first = troubles[0];
      if (first === undefined) return [];
      return [`- ${id}, ${helper}: ${first.kind} (${troubles.length} times): ${first.reason}`];
    }),
  );
  return lines.join("\n");
}
