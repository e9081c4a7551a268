import { UserError } from "../base/errors.js";
import type { OutputOptions } from "./requests.js";

const FIELD = /\{\{\s*(json\s+)?\.([\w.-]*)\s*\}\}/g;

/**
 * The text of several things, one a line.
 * @param table what is shown unless something else was asked for
 * @throws UserError for a field that is not there
 */
export function formatAll(
  items: readonly object[],
  { json, format }: OutputOptions,
  table: () => string,
): string {
  if (json || format === "json") return `${JSON.stringify(items, null, 2)}\n`;
  if (format === null || format === "table") return table();
  return items.map((item) => `${formatOne(item, format)}\n`).join("");
}

/** Columns as wide as what stands in them. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? "").length)),
  );
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join("   ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

function formatOne(item: object, format: string): string {
  return format.replace(FIELD, (_, json: string | undefined, path: string) => {
    const value = valueAt(item, path);
    return json === undefined && typeof value !== "object" ? String(value) : JSON.stringify(value);
  });
}

function valueAt(item: object, path: string): unknown {
  let value: unknown = item;
  for (const key of path.split(".").filter((part) => part !== "")) {
    const isThere = typeof value === "object" && value !== null && Object.hasOwn(value, key);
    if (!isThere) throw new UserError(`--format: there is no field ${key}: --json shows all`);
    value = Reflect.get(Object(value), key);
  }
  return value;
}
