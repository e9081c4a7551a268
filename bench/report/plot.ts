/** Horizontal grouped bar charts as SVG, for light and dark pages. */
import type { Spread } from "../stats.ts";
import { formatNumber } from "./format.ts";

export interface Bar {
  readonly series: string;
  readonly figure: Spread;
}

export interface BarGroup {
  readonly label: string;
  readonly bars: readonly Bar[];
}

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  /** In the order of their colours and of the legend. */
  readonly series: readonly string[];
  readonly groups: readonly BarGroup[];
}

const WIDTH = 860;
const PADDING = 24;
const LABEL_WIDTH = 260;
const VALUE_WIDTH = 80;
const HEADER_HEIGHT = 96;
const AXIS_HEIGHT = 26;
const BAR_HEIGHT = 15;
const BAR_GAP = 3;
const GROUP_GAP = 16;
const PLOT_WIDTH = WIDTH - 2 * PADDING - LABEL_WIDTH - VALUE_WIDTH;
const PLOT_LEFT = PADDING + LABEL_WIDTH;

/** Fill per series, for a light and for a dark page; they also differ in lightness. */
export const COLOURS = [
  ["#0f766e", "#2dd4bf"],
  ["#d97706", "#fbbf24"],
  ["#6d5bd0", "#a89bf5"],
  ["#be3a6e", "#f58ab4"],
  ["#4d7c0f", "#a3d64a"],
] as const;
/** The last series of a chart that has one: a reference, not a contestant. */
const REFERENCE_COLOUR = ["#9ca3af", "#6b7280"] as const;

/** The chart as a complete document. The named series is drawn as a reference only. */
export function barChart(chart: Chart, reference: string | null): string {
  const heights = chart.groups.map(groupHeight);
  const bodyHeight = heights.reduce((total, height) => total + height, 0);
  const height = HEADER_HEIGHT + bodyHeight + AXIS_HEIGHT + PADDING;
  const extent = largest(chart);
  const ticks = axisTicks(extent);
  const scale = PLOT_WIDTH / (extent || 1);
  const tops = heights.map(
    (_, i) => HEADER_HEIGHT + heights.slice(0, i).reduce((a, b) => a + b, 0),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escapeXml(chart.title)}</title>`,
    `<style>${styles(chart.series, reference)}</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="10"/>`,
    `<text class="title" x="${PADDING}" y="36">${escapeXml(chart.title)}</text>`,
    `<text class="subtitle" x="${PADDING}" y="56">${escapeXml(chart.subtitle)}</text>`,
    ...legend(chart.series),
    ...ticks.flatMap((tick) => gridLine(tick, scale, bodyHeight)),
    ...chart.groups.flatMap((group, i) => drawGroup(group, chart.series, tops[i] ?? 0, scale)),
    "</svg>",
    "",
  ].join("\n");
}

/** Multiples of 1, 2 or 5 times a power of ten, from 0 to at most the value, four to nine of them. */
export function axisTicks(value: number): number[] {
  if (!(value > 0)) return [0];
  const rough = value / 8;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  return Array.from({ length: Math.floor(value / step) + 1 }, (_, i) => i * step);
}

function largest(chart: Chart): number {
  return Math.max(0, ...chart.groups.flatMap(({ bars }) => bars.map(({ figure }) => figure.max)));
}

function groupHeight({ bars }: BarGroup): number {
  return bars.length * (BAR_HEIGHT + BAR_GAP) + GROUP_GAP;
}

function drawGroup(
  { label, bars }: BarGroup,
  series: readonly string[],
  top: number,
  scale: number,
): string[] {
  const middle = top + (bars.length * (BAR_HEIGHT + BAR_GAP)) / 2 + 4;
  return [
    `<text class="label" x="${PLOT_LEFT - 12}" y="${round(middle)}">${escapeXml(label)}</text>`,
    ...bars.flatMap((bar, i) =>
      drawBar(bar, series.indexOf(bar.series), top + i * (BAR_HEIGHT + BAR_GAP), scale),
    ),
  ];
}

/** The bar ends at the median; a whisker spans the smallest and the largest measurement. */
function drawBar({ figure }: Bar, series: number, top: number, scale: number): string[] {
  const { median, min, max, count } = figure;
  const x = (value: number): number => round(PLOT_LEFT + value * scale);
  const middle = top + BAR_HEIGHT / 2;
  const whisker = `M${x(min)} ${middle}H${x(max)}M${x(min)} ${middle - 3}v6M${x(max)} ${middle - 3}v6`;
  const width = Math.max(1, round(median * scale));
  return [
    `<rect class="s${series}" x="${PLOT_LEFT}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
    ...(count > 1 ? [`<path class="whisker" d="${whisker}"/>`] : []),
    `<text class="value" x="${x(Math.max(median, max)) + 7}" y="${middle + 4}">${formatNumber(median)}</text>`,
  ];
}

function gridLine(tick: number, scale: number, bodyHeight: number): string[] {
  const x = round(PLOT_LEFT + tick * scale);
  const bottom = HEADER_HEIGHT + bodyHeight;
  const top = HEADER_HEIGHT - 8;
  return [
    `<path class="grid" d="M${x} ${top}V${bottom}"/>`,
    `<text class="tick" x="${x}" y="${bottom + 18}">${Number(tick.toPrecision(3)).toLocaleString("en")}</text>`,
  ];
}

function legend(series: readonly string[]): string[] {
  let x = PADDING;
  return series.flatMap((name, i) => {
    const left = x;
    x += 34 + name.length * 6.8;
    return [
      `<rect class="s${i}" x="${round(left)}" y="69" width="11" height="11" rx="2"/>`,
      `<text class="legend" x="${round(left + 17)}" y="79">${escapeXml(name)}</text>`,
    ];
  });
}

function styles(series: readonly string[], reference: string | null): string {
  const fills = (shade: 0 | 1): string =>
    series.map((name, i) => `.s${i}{fill:${colour(i, name === reference)[shade]}}`).join("");
  return [
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#374151}",
    ".title{font-size:17px;font-weight:600;fill:#111827}.subtitle,.tick{fill:#6b7280}",
    ".label{text-anchor:end}.tick{text-anchor:middle;font-size:11px}",
    ".value{font-variant-numeric:tabular-nums}",
    ".page{fill:#ffffff;stroke:#e5e7eb}.grid{stroke:#e5e7eb}",
    ".whisker{stroke:#111827;stroke-opacity:.55;fill:none}",
    fills(0),
    "@media(prefers-color-scheme:dark){text{fill:#d1d5db}.title{fill:#f3f4f6}",
    ".subtitle,.tick{fill:#9ca3af}.page{fill:#0d1117;stroke:#30363d}.grid{stroke:#21262d}",
    `.whisker{stroke:#f9fafb}${fills(1)}}`,
  ].join("");
}

function colour(index: number, isReference: boolean): readonly [string, string] {
  if (isReference) return REFERENCE_COLOUR;
  return COLOURS[index % COLOURS.length] ?? REFERENCE_COLOUR;
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
