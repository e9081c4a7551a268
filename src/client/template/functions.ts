import type { FunctionName } from "../../commandline/template/syntax.js";
import { printf } from "./printf.js";
import { jsonOf, printed } from "./printing.js";
import { refused } from "./refused.js";
import { isList, isMap, isStruct, isTrue, kindOf, type Value } from "./value.js";

/** Of what `pad` adds, in characters. */
const WIDEST_PAD = 1000;

type Call = (args: readonly Value[]) => Value;

/** `and` and `or` are not among them: they do not evaluate all of their arguments. */
export const CALLS: Readonly<Record<Exclude<FunctionName, "and" | "or">, Call>> = {
  not: exactly("not", 1, ([value]) => !isTrue(value)),
  eq: ([first, ...others]) => atLeastOne("eq", others).some((each) => isEqual("eq", first, each)),
  ne: exactly("ne", 2, ([a, b]) => !isEqual("ne", a, b)),
  lt: exactly("lt", 2, ([a, b]) => isLess("lt", a, b)),
  le: exactly("le", 2, ([a, b]) => !isLess("le", b, a)),
  gt: exactly("gt", 2, ([a, b]) => isLess("gt", b, a)),
  ge: exactly("ge", 2, ([a, b]) => !isLess("ge", a, b)),
  len: exactly("len", 1, ([value]) => lengthOf(value)),
  index: ([value, ...keys]) => keys.reduce(elementOf, value),
  slice: ([value, ...bounds]) => sliceOf(value, bounds),
  print: (args) => sprint(args),
  printf: ([format, ...args]) => printf(textOf("printf", format), args),
  println: (args) => `${args.map(printed).join(" ")}\n`,
  json: exactly("json", 1, ([value]) => jsonOf(value)),
  join: exactly("join", 2, ([list, separator]) => joined(list, textOf("join", separator))),
  split: exactly("split", 2, ([text, separator]) =>
    textOf("split", text).split(textOf("split", separator)),
  ),
  lower: exactly("lower", 1, ([text]) => textOf("lower", text).toLowerCase()),
  upper: exactly("upper", 1, ([text]) => textOf("upper", text).toUpperCase()),
  title: exactly("title", 1, ([text]) =>
    textOf("title", text).replace(/(?<![\p{L}\p{N}_'])\p{L}/gu, (letter) => letter.toUpperCase()),
  ),
  pad: exactly("pad", 3, ([text, before, after]) =>
    textOf("pad", text) === "" ? "" : spaces(before) + textOf("pad", text) + spaces(after),
  ),
  truncate: exactly("truncate", 2, ([text, length]) =>
    textOf("truncate", text).slice(0, wholeOf("truncate", length)),
  ),
};

function exactly(name: string, count: number, call: Call): Call {
  return (args) => {
    if (args.length === count) return call(args);
    throw refused(`${name} takes ${count} values, not ${args.length}`);
  };
}

function atLeastOne(name: string, others: readonly Value[]): readonly Value[] {
  if (others.length > 0) return others;
  throw refused(`${name} takes two values or more`);
}

function isEqual(name: string, a: Value, b: Value): boolean {
  if (isNothing(a) || isNothing(b)) return isNothing(a) && isNothing(b);
  if (typeof a === typeof b && typeof a !== "object") return a === b;
  throw refused(`${name} cannot compare ${kindOf(a)} with ${kindOf(b)}`);
}

function isNothing(value: Value): boolean {
  return value === undefined || value === null;
}

function isLess(name: string, a: Value, b: Value): boolean {
  if (typeof a === "number" && typeof b === "number") return a < b;
  if (typeof a === "string" && typeof b === "string") return a < b;
  throw refused(`${name} cannot compare ${kindOf(a)} with ${kindOf(b)}`);
}

function lengthOf(value: Value): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (isList(value)) return value.length;
  if (isMap(value)) return value.size;
  throw refused(`${kindOf(value)} has no length`);
}

function elementOf(value: Value, key: Value): Value {
  if (isMap(value)) {
    const found = value.get(textOf("index", key));
    // The zero value of Go's type, of maps of texts the empty text.
    return found ?? ([...value.values()].every((each) => typeof each === "string") ? "" : null);
  }
  if (!isList(value)) throw refused(`index cannot look into ${kindOf(value)}`);
  const position = wholeOf("index", key);
  if (position < value.length) return value[position];
  throw refused(`index ${position} is not in a list of ${value.length}`);
}

function sliceOf(value: Value, bounds: readonly Value[]): Value {
  if (typeof value !== "string" && !isList(value)) throw refused(`slice of ${kindOf(value)}`);
  const [from = 0, to = value.length, ...rest] = bounds.map((each) => wholeOf("slice", each));
  if (rest.length === 0 && from <= to && to <= value.length) return value.slice(from, to);
  throw refused(`slice ${bounds.map(printed).join(" ")} is not in a length of ${value.length}`);
}

/** Go puts a space between two values of which neither is a text. */
function sprint(args: readonly Value[]): string {
  return args
    .map((value, index) => {
      const before = args[index - 1];
      const isApart = index > 0 && typeof value !== "string" && typeof before !== "string";
      return isApart ? ` ${printed(value)}` : printed(value);
    })
    .join("");
}

function joined(list: Value, separator: string): string {
  if (isList(list)) return list.map((each) => textOf("join", each)).join(separator);
  throw refused(`join takes a list of texts, not ${kindOf(list)}`);
}

function spaces(count: Value): string {
  const number = wholeOf("pad", count);
  if (number <= WIDEST_PAD) return " ".repeat(number);
  throw refused(`pad ${number} is too wide: ${WIDEST_PAD} at most`);
}

function textOf(name: string, value: Value): string {
  if (typeof value === "string") return value;
  throw refused(`${name} takes a text, not ${kindOf(value)}`);
}

function wholeOf(name: string, value: Value): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw refused(
    `${name} takes a whole number, not ${isStruct(value) ? "an object" : printed(value)}`,
  );
}
