/** How a table is set. */
export interface TableStyle {
  /** Spaces between columns. */
  readonly gap?: number;
  /** Columns, counted from 0, whose cells are aligned to the right, as numbers are. */
  readonly rightAligned?: readonly number[];
}

/** Heads and rows as lines of text, each column as wide as its widest cell. Every row has a cell for each head. */
export function formatTable(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  { gap = 3, rightAligned = [] }: TableStyle = {},
): string {
  const all = [heads, ...rows];
  const widths = heads.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const padded = (cell: string, column: number): string =>
    rightAligned.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column]);
  return all.map((row) => `${row.map(padded).join(" ".repeat(gap)).trimEnd()}\n`).join("");
}
