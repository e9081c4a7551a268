/** Line charts over time as SVG, one panel below the other, for light and dark pages. */
import { axisTicks, COLOURS, escapeXml, round } from "./plot.ts";

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly label: string;
  readonly lines: readonly Line[];
}

export interface LineChart {
  readonly title: string;
  readonly subtitle: string;
  /** What the horizontal axis counts. */
  readonly horizontal: string;
  readonly panels: readonly Panel[];
}

const WIDTH = 860;
const LEFT = 70;
const RIGHT = 24;
const TOP = 76;
const PANEL_HEIGHT = 110;
const PANEL_GAP = 46;
const BOTTOM = 50;
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;

/** The chart as a complete document. Every panel's axis begins at 0. */
export function lineChart({ title, subtitle, horizontal, panels }: LineChart): string {
  const height = TOP + panels.length * (PANEL_HEIGHT + PANEL_GAP) + BOTTOM - PANEL_GAP;
  const extent = Math.max(...panels.flatMap(pointsOf).map(([x]) => x), 1);
  const x = (value: number) => round(LEFT + (value / extent) * PLOT_WIDTH);
  const bottom = height - BOTTOM;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>${styles()}</style>`,
    `<rect class="page" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="10"/>`,
    `<text class="title" x="24" y="32">${escapeXml(title)}</text>`,
    `<text class="subtitle" x="24" y="51">${escapeXml(subtitle)}</text>`,
    ...panels.flatMap((panel, i) => drawPanel(panel, TOP + i * (PANEL_HEIGHT + PANEL_GAP), x)),
    ...axisTicks(extent).map(
      (tick) => `<text class="tick" x="${x(tick)}" y="${bottom + 17}">${tick}</text>`,
    ),
    `<text class="tick" x="${LEFT + PLOT_WIDTH / 2}" y="${bottom + 36}">${escapeXml(horizontal)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}

function pointsOf({ lines }: Panel): readonly (readonly [number, number])[] {
  return lines.flatMap(({ points }) => points);
}

function drawPanel(panel: Panel, top: number, x: (value: number) => number): string[] {
  const ticks = axisTicks(Math.max(...pointsOf(panel).map(([, value]) => value), 1)).filter(
    (_, i, all) => all.length < 6 || i % 2 === 0,
  );
  const most = Math.max(...pointsOf(panel).map(([, value]) => value), ticks.at(-1) ?? 1);
  const bottom = top + PANEL_HEIGHT;
  const y = (value: number) => round(bottom - (value / most) * (PANEL_HEIGHT - 24));
  let legend = LEFT + panel.label.length * 7.2 + 24;
  return [
    `<text class="label" x="${LEFT}" y="${top + 10}">${escapeXml(panel.label)}</text>`,
    ...ticks.flatMap((tick) => [
      `<path class="grid" d="M${LEFT} ${y(tick)}H${LEFT + PLOT_WIDTH}"/>`,
      `<text class="value" x="${LEFT - 8}" y="${y(tick) + 4}">${tick.toLocaleString("en")}</text>`,
    ]),
    ...panel.lines.flatMap(({ name, points }, i) => {
      const left = legend;
      legend += 34 + name.length * 6.8;
      const path = points.map(([at, value]) => `${x(at)} ${y(value)}`).join("L");
      return [
        `<path class="l${i}" d="M${path}"/>`,
        `<path class="l${i}" d="M${round(left)} ${top + 6}h12"/>`,
        `<text x="${round(left + 18)}" y="${top + 10}">${escapeXml(name)}</text>`,
      ];
    }),
  ];
}

function styles(): string {
  const strokes = (shade: 0 | 1): string =>
    COLOURS.map((colour, i) => `.l${i}{stroke:${colour[shade]}}`).join("");
  return [
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#374151}",
    ".title{font-size:17px;font-weight:600;fill:#111827}.subtitle,.tick,.value{fill:#6b7280}",
    ".label{font-weight:600}.value{text-anchor:end;font-size:11px}",
    ".tick{text-anchor:middle;font-size:11px}path{fill:none;stroke-width:1.6}",
    ".page{fill:#ffffff;stroke:#e5e7eb}.grid{stroke:#e5e7eb;stroke-width:1}",
    strokes(0),
    "@media(prefers-color-scheme:dark){text{fill:#d1d5db}.title{fill:#f3f4f6}",
    ".subtitle,.tick,.value{fill:#9ca3af}.page{fill:#0d1117;stroke:#30363d}.grid{stroke:#21262d}",
    `${strokes(1)}}`,
  ].join("");
}
