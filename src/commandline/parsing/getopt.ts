import type { Option, Options } from "./option.js";
import { suggestion } from "./suggestion.js";
import { wrong } from "./values.js";

/** An option as it was given. */
export interface GivenOption {
  /** The option's key in its declarations. */
  readonly key: string;
  /** The text of its value; "" where it takes none. */
  readonly text: string;
}

export interface Given {
  /** In the order in which they were given. */
  readonly options: readonly GivenOption[];
  readonly operands: readonly string[];
}

/**
 * Splits a command line as getopt_long(3) of glibc does, abbreviations and texts of errors included: callers of the
 * programs whose command lines these are look for the texts.
 * @param endings keys of options behind which nothing is looked at any more, such as --help
 * @param stops whether the first operand ends the options, as it begins another program's command line
 * @throws UserError
 */
export function getopt(
  options: Options,
  args: readonly string[],
  endings: readonly string[],
  stops: boolean,
): Given {
  const given: GivenOption[] = [];
  const operands: string[] = [];
  let at = 0;
  while (at < args.length) {
    const arg = args[at];
    at += 1;
    if (arg === "--") return { options: given, operands: [...operands, ...args.slice(at)] };
    if (!arg.startsWith("-") || arg === "-") {
      operands.push(arg);
      if (stops) return { options: given, operands: [...operands, ...args.slice(at)] };
      continue;
    }
    const next = args[at];
    const found = arg.startsWith("--") ? long(options, arg, next) : letters(options, arg, next);
    given.push(...found.options);
    if (found.tookNext) at += 1;
    if (given.some(({ key }) => endings.includes(key))) break;
  }
  return { options: given, operands };
}

/** What one argument gives, and whether the next one was its value. */
interface Found {
  readonly options: readonly GivenOption[];
  readonly tookNext: boolean;
}

function long(options: Options, arg: string, next: string | undefined): Found {
  const [name] = arg.split("=", 1);
  const behind = arg.length > name.length ? arg.slice(name.length + 1) : null;
  const [key, { long: fullName, value }] = named(options, name);
  if (value === null) {
    if (behind !== null) throw wrong(`option '${fullName}' doesn't allow an argument`);
    return { options: [{ key, text: "" }], tookNext: false };
  }
  const text = behind ?? next;
  if (text === undefined) throw wrong(`option '${fullName}' requires an argument, ${value}`);
  return { options: [{ key, text }], tookNext: behind === null };
}

/** The option that a name, or the beginning of only one, means. */
function named(options: Options, name: string): [key: string, option: Option<unknown>] {
  const all = Object.entries(options);
  const names = all.flatMap(([key, option]) =>
    [option.long, ...option.synonyms].map((each) => ({ each, key, option })),
  );
  const exact = names.find(({ each }) => each === name);
  if (exact !== undefined) return [exact.key, exact.option];
  const begun = names.filter(({ each }) => each.startsWith(name));
  const [first] = begun;
  if (first === undefined) {
    const longs = all.filter(([, { isHidden }]) => !isHidden).map(([, option]) => option.long);
    throw wrong(`unrecognized option '${name}'${suggestion(name, longs)}`);
  }
  if (begun.some(({ key }) => key !== first.key)) {
    const possible = begun.map(({ each }) => `'${each}'`).join(" ");
    throw wrong(`option '${name}' is ambiguous; possibilities: ${possible}`);
  }
  return [first.key, first.option];
}

function letters(options: Options, arg: string, next: string | undefined): Found {
  const all = Object.entries(options);
  const found: GivenOption[] = [];
  for (let at = 1; at < arg.length; at += 1) {
    const letter = arg[at];
    const [key, option] = all.find(([, { short }]) => short === letter) ?? [];
    if (key === undefined || option === undefined) throw wrong(`invalid option -- '${letter}'`);
    if (option.value === null) {
      found.push({ key, text: "" });
      continue;
    }
    const rest = arg.slice(at + 1);
    const text = rest === "" ? next : rest;
    if (text === undefined) {
      throw wrong(`option requires an argument -- '${letter}', ${option.value}`);
    }
    return { options: [...found, { key, text }], tookNext: rest === "" };
  }
  return { options: found, tookNext: false };
}
