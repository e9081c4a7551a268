import { UserError } from "../base/errors.js";
import type { OutputOptions } from "../commandline/requests.js";

const FIELD = /\{\{\s*(json\s+)?\.([\w.-]*)\s*\}\}/g;

/**
 * What a command prints of the things that it has found: JSON, one line each by a template, or a table.
 * @param table makes the table, which is the default
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
