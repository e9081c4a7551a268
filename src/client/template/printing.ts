import { isList, isMap, isStruct, type Value } from "./value.js";

/** As Go's `%v` writes it. */
export function printed(value: Value): string {
  return value === undefined ? "<no value>" : inner(value);
}

function inner(value: Value): string {
  if (value === undefined || value === null) return "<nil>";
  if (isList(value)) return `[${value.map(inner).join(" ")}]`;
  if (isMap(value))
    return `map[${[...value].map(([key, each]) => `${key}:${inner(each)}`).join(" ")}]`;
  if (!isStruct(value)) return String(value);
  const fields = Object.values(value).filter((each) => typeof each !== "function");
  return `{${fields.map(inner).join(" ")}}`;
}

/** On one line. */
export function jsonOf(value: Value): string {
  const text = JSON.stringify(value, (_, each: unknown) =>
    each instanceof Map ? Object.fromEntries(each) : each,
  );
  return text ?? "null";
}
