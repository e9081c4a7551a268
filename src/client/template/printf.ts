import { quoted } from "../../base/printable.js";
import { jsonOf, printed } from "./printing.js";
import { refused } from "./refused.js";
import { kindOf, type Value } from "./value.js";

/** Wider than any terminal. */
const WIDEST = 1000;

const VERB = /%([-+0 ]*)(\d*)(?:\.(\d+))?(.?)/gsu;

/** Go's `printf`, with the verbs that reports need: s v q d x t f and %. @throws UserError */
export function printf(format: string, args: readonly Value[]): string {
  let used = 0;
  const text = format.replace(VERB, (directive, flags: string, width: string, digits, verb) => {
    if (verb === "%") return "%";
    if (used >= args.length) throw refused(`printf: there is no value for ${directive}`);
    const value = args[used];
    used += 1;
    const precision = digits === undefined ? null : Number(digits);
    if (Number(width) > WIDEST || Number(precision) > WIDEST) {
      throw refused(`printf: ${directive} is too wide: ${WIDEST} at most`);
    }
    return padded(written(directive, verb, value, precision, flags), flags, Number(width), value);
  });
  if (used === args.length) return text;
  throw refused(`printf: ${quoted(format)} uses ${used} of ${args.length} values`);
}

function written(
  directive: string,
  verb: string,
  value: Value,
  precision: number | null,
  flags: string,
): string {
  const sign = flags.includes("+") && typeof value === "number" && value >= 0 ? "+" : "";
  switch (verb) {
    case "v":
      return sign + printed(value);
    case "s":
      return printed(value).slice(0, precision ?? undefined);
    case "q":
      if (typeof value === "string") return jsonOf(value);
      break;
    case "d":
      if (Number.isInteger(value)) return sign + String(value);
      break;
    case "x":
      if (typeof value === "number") return value.toString(16);
      if (typeof value === "string") return Buffer.from(value).toString("hex");
      break;
    case "f":
      if (typeof value === "number") return sign + value.toFixed(Math.min(precision ?? 6, 100));
      break;
    case "t":
      if (typeof value === "boolean") return String(value);
      break;
    default:
      throw refused(`printf: ${directive} is not known: there are %s %v %q %d %x %f %t %%`);
  }
  throw refused(`printf: ${directive} cannot write ${kindOf(value)}`);
}

function padded(text: string, flags: string, width: number, value: Value): string {
  if (flags.includes("-")) return text.padEnd(width);
  const isNumber = typeof value === "number" && flags.includes("0");
  if (!isNumber) return text.padStart(width);
  const [, sign = "", digits = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  return sign + digits.padStart(width - sign.length, "0");
}
