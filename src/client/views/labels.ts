import type { Struct, Value } from "../template/value.js";

/** Labels as docker's lists have them: `{{.Labels}}`, one text, and `{{.Label "team"}}`, one value. */
export function labelFields(labels: Readonly<Record<string, string>>): Struct {
  const texts = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return {
    Labels: texts.toSorted().join(","),
    Label: (name: Value) =>
      typeof name === "string" && Object.hasOwn(labels, name) ? labels[name] : "",
  };
}
