import { formatTable } from "../base/table.js";
import type { OutputFormat } from "../commandline/requests.js";
import { evaluate } from "./template/evaluate.js";
import { type Heads, headsOf } from "./template/heads.js";
import { type Struct, structOf } from "./template/value.js";

/** How things of one kind are shown. */
export interface Shape<T> {
  /** Makes the table, which is the default. */
  readonly table: () => string;
  /** What a template has of one; absent: its JSON. */
  readonly view?: (item: T) => Struct;
  /** Heads of the columns that a template makes. */
  readonly heads?: Heads;
}

/**
 * What a command prints of the things that it has found: JSON, one line each by a template, or a table.
 * @throws UserError for a template that does not fit them
 */
export function formatAll<T extends object>(
  items: readonly T[],
  output: OutputFormat,
  { table, view, heads = {} }: Shape<T>,
): string {
  switch (output.kind) {
    case "json":
      return `${JSON.stringify(items, null, 2)}\n`;
    case "table":
      return table();
    case "template": {
      const values = items.map((item) => (view ?? structOf)(item));
      const lines = values.map((value) => evaluate(output.template, value));
      if (!output.isTable) return lines.map((line) => `${line}\n`).join("");
      return tabbed([headsOf(output.template, heads), ...lines]);
    }
  }
}

/** Lines whose columns are between tabs. */
function tabbed(texts: readonly string[]): string {
  const [head, ...rows] = texts.flatMap((text) => text.split("\n")).map((line) => line.split("\t"));
  const count = Math.max(head.length, ...rows.map((row) => row.length));
  const full = (row: readonly string[]) => Array.from({ length: count }, (_, at) => row[at] ?? "");
  return formatTable(full(head), rows.map(full));
}
