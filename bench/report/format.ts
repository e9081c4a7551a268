/** Figures as text. */
import type { Spread } from "../stats.ts";

/** Three significant digits, or all before the point, with separators: 0.0123, 1.23, 12.3, 12,345. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "∞";
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  const digits = Math.min(4, Math.max(0, 2 - magnitude));
  return value.toLocaleString("en", {
    minimumFractionDigits: value === 0 ? 0 : digits,
    maximumFractionDigits: digits,
  });
}

/** `median (min–max)`, or the value alone if measured once. */
export function formatSpread({ median, min, max, count }: Spread): string {
  if (count === 1) return formatNumber(median);
  return `${formatNumber(median)} (${formatNumber(min)}–${formatNumber(max)})`;
}

/** `×8.1`; a dash without a value. */
export function formatRatio(value: number | null): string {
  return value === null ? "–" : `×${formatNumber(value)}`;
}

export type Alignment = "left" | "right";

/** A Markdown table whose columns also align as plain text. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  alignments: readonly Alignment[],
): string {
  const widths = header.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const align = (text: string, column: number): string =>
    alignments[column] === "right"
      ? text.padStart(widths[column] ?? 0)
      : text.padEnd(widths[column] ?? 0);
  const line = (cells: readonly string[]): string => `| ${cells.map(align).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    alignments[column] === "right" ? `${"-".repeat(width - 1)}:` : "-".repeat(width),
  );
  return [line(header), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n");
}
