import { quoted } from "../../base/printable.js";
import { flag, optional, type Reader, type Values } from "../parsing/option.js";
import type { ListOptions, OutputFormat } from "../requests.js";
import { parseTemplate } from "../template/parse.js";
import { refused } from "../template/tokens.js";

const outputFormat: Reader<OutputFormat> = (text) => {
  if (text === "json") return { kind: "json" };
  // The default, which docker names by an empty text, too.
  if (text === "table" || text === "") return { kind: "table" };
  const [, columns = null] = /^table\b\s*(.*)$/s.exec(text) ?? [];
  const template = parseTemplate(columns ?? text);
  if (template.some(({ kind }) => kind !== "text")) {
    return { kind: "template", template, isTable: columns !== null };
  }
  throw refused(`${quoted(text)} shows nothing: write a template such as {{.Name}}, json or table`);
};

export const outputOptions = {
  json: flag("--json", "print everything as JSON"),
  format: optional(
    "--format <template>",
    "as docker does: a template such as {{.Name}}, 'table {{.Name}}', json or table",
    outputFormat,
  ),
};

/** Of lists. */
export const listOptions = {
  ...outputOptions,
  quiet: flag("-q, --quiet", "print ids only"),
  noTrunc: flag("--no-trunc", "show ids in full"),
};

/** The same with the short form, where docker has it. */
export const inspectOptions = {
  ...outputOptions,
  format: { ...outputOptions.format, short: "f" },
};

export function listOptionsOf(values: Values<typeof listOptions>): ListOptions {
  return { output: outputOf(values), quiet: values.quiet, noTrunc: values.noTrunc };
}

export function outputOf({ json, format }: Values<typeof outputOptions>): OutputFormat {
  return json ? { kind: "json" } : (format ?? { kind: "table" });
}
