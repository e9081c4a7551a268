/** A value in a template. Data of others is only here: a field is never looked up in a prototype. */
export type Value =
  /** undefined: what a map does not have; null: what is not set. */
  | undefined
  | null
  | string
  | number
  | boolean
  | readonly Value[]
  /** A map of Go, whose keys are data. In the order of its keys. */
  | ReadonlyMap<string, Value>
  | Struct
  | Method;

/** A struct of Go: its fields are known, and all others are mistakes. */
export interface Struct {
  readonly [field: string]: Value;
}

/** A field that takes arguments, such as `{{.Label "team"}}`. */
export type Method = (...args: readonly Value[]) => Value;

/** Fields of reports that have data as keys. */
const MAPS: ReadonlySet<string> = new Set([
  "Containers",
  "Labels",
  "Networks",
  "Options",
  "PortBindings",
  "Ports",
  "drops",
  "labels",
]);

/** A report of the daemon, which is JSON, as a value. */
export function structOf(json: object): Struct {
  return Object.fromEntries(
    Object.entries(json).map(([name, field]: [string, unknown]) => [
      name,
      MAPS.has(name) && isObject(field) ? mapOf(field) : valueFrom(field),
    ]),
  );
}

function valueFrom(json: unknown): Value {
  if (Array.isArray(json)) return json.map(valueFrom);
  if (isObject(json)) return structOf(json);
  const isPlain = typeof json === "string" || typeof json === "number" || typeof json === "boolean";
  return isPlain ? json : null;
}

/** In the order of the keys, as Go shows maps. */
function mapOf(json: object): ReadonlyMap<string, Value> {
  const entries = Object.entries(json).map(([key, field]) => [key, valueFrom(field)] as const);
  return new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isMap(value: Value): value is ReadonlyMap<string, Value> {
  return value instanceof Map;
}

export function isStruct(value: Value): value is Struct {
  return isObject(value) && !isList(value) && !isMap(value);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What {{if}} takes for true: all but false, 0 and what is empty. */
export function isTrue(value: Value): boolean {
  if (isList(value)) return value.length > 0;
  if (isMap(value)) return value.size > 0;
  return Boolean(value);
}

/** For messages. */
export function kindOf(value: Value): string {
  if (value === undefined || value === null) return "nothing";
  if (isList(value)) return "a list";
  if (isMap(value)) return "a map";
  switch (typeof value) {
    case "string":
      return "a text";
    case "number":
      return "a number";
    case "boolean":
      return "true or false";
    default:
      return "an object";
  }
}
