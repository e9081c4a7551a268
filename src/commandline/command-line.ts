import { parseArgs } from "node:util";
import { UserError } from "../base/errors.js";
import { slipway } from "./commands/slipway.js";
import { slirp4netns } from "./commands/slirp4netns.js";
import type { Invocation } from "./invocation.js";
import { type Command, type CommandGroup, isGroup } from "./parsing/command.js";
import { helpOf, helpOption, versionOption } from "./parsing/help.js";
import type { Option, Options } from "./parsing/option.js";
import { suggestion } from "./parsing/suggestion.js";
import { wrong } from "./parsing/values.js";

const USUAL_WIDTH = 80;
const NONE: readonly string[] = [];

/**
 * Parses a command line, without looking at the machine.
 * @param name by which the program was called; `slirp4netns` has a command line of its own
 * @throws UserError with exit status 2; for slirp4netns 1, as in the original
 */
export function parseCommandLine(name: string, args: readonly string[]): Invocation {
  if (name !== "slirp4netns") return parseNode(slipway, "slipway", args);
  try {
    return parseNode(slirp4netns, "slirp4netns", args);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(error.message, 1);
    throw error;
  }
}

/** @param path the words that name the program or command, for messages */
function parseNode(
  node: Command | CommandGroup,
  path: string,
  args: readonly string[],
): Invocation {
  return isGroup(node) ? parseGroup(node, path, args) : parseCommand(node, path, args);
}

function parseGroup(group: CommandGroup, path: string, args: readonly string[]): Invocation {
  const [word, ...rest] = args;
  if (word === undefined) throw wrong(`no command given; see ${path} --help`);
  if (is(helpOption, word)) return print(helpOf(group, path, width()));
  if (group.version !== undefined && is(versionOption, word)) return print(`${group.version}\n`);
  if (word === "help") return helpAbout(group, path, rest);
  if (word.startsWith("-"))
    throw unknownOption(word, group.version === undefined ? {} : { versionOption }, path);
  const isNamed = group.commands.some(({ name }) => name === word);
  if (!isNamed && group.otherwise !== undefined) return parseCommand(group.otherwise, path, args);
  return parseNode(commandNamed(group, path, word), `${path} ${word}`, rest);
}

function is({ short, long }: Option<unknown>, word: string): boolean {
  return word === long || word === `-${short}`;
}

/** `help [command...]` */
function helpAbout(group: CommandGroup, path: string, words: readonly string[]): Invocation {
  const [word, ...rest] = words;
  if (word === undefined) return print(helpOf(group, path, width()));
  const node = commandNamed(group, path, word);
  if (isGroup(node)) return helpAbout(node, `${path} ${word}`, rest);
  return print(helpOf(node, `${path} ${word}`, width()));
}

function commandNamed(group: CommandGroup, path: string, word: string): Command | CommandGroup {
  const found = group.commands.find(({ name }) => name === word);
  if (found !== undefined) return found;
  const names = group.commands.map(({ name }) => name);
  throw wrong(`unknown command '${word}'${suggestion(word, names)}; see ${path} --help`);
}

function parseCommand(command: Command, path: string, args: readonly string[]): Invocation {
  const standard = command.version === undefined ? { helpOption } : { helpOption, versionOption };
  const options: Options = { ...command.options, ...standard };
  const { given, operands, unknown } = split(command, options, path, args);
  if (given.has("versionOption")) return print(`${command.version}\n`);
  if (given.has("helpOption")) return print(helpOf(command, path, width()));
  if (unknown !== null) throw unknownOption(unknown, options, path);
  requireArguments(command, path, operands);
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(command.options)) {
    values[key] = option.read(given.get(key) ?? NONE);
  }
  return command.invoke(values, operands, new Set(given.keys()));
}

/** A command line in its parts, unchecked. */
interface Split {
  /** Texts of the values by the option's key. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
  /** The first option that is none of the command's, or null. */
  readonly unknown: string | null;
}

/** @throws UserError for a value that is missing or that an option does not take */
function split(command: Command, options: Options, path: string, args: readonly string[]): Split {
  const keys = new Map(Object.entries(options).map(([key, { long }]) => [long.slice(2), key]));
  const given = new Map<string, string[]>();
  const operands: string[] = [];
  let unknown: string | null = null;
  for (const token of tokensOf(options, args)) {
    if (token.kind !== "option") {
      if (command.passesThrough) return { given, operands: argsFrom(token, args), unknown };
      if (token.kind === "positional") operands.push(token.value);
      continue;
    }
    const key = keys.get(token.name);
    if (key === undefined) {
      unknown ??= token.rawName;
      continue;
    }
    const option = options[key];
    if (option.replaces !== null) given.delete(option.replaces);
    const texts = given.get(key) ?? [];
    texts.push(textOf(token, option, path));
    given.set(key, texts);
  }
  return { given, operands, unknown };
}

type Token = ReturnType<typeof tokensOf>[number];

/** The arguments from one that is no option; `--` itself is left out. */
function argsFrom(token: Token, args: readonly string[]): readonly string[] {
  return args.slice(token.kind === "option-terminator" ? token.index + 1 : token.index);
}

/** The text of an option's value; "" for an option that takes none. */
function textOf(
  { value: text }: Extract<Token, { kind: "option" }>,
  { long, value }: Option<unknown>,
  path: string,
): string {
  if (value !== null && text === undefined) {
    throw wrong(`${long} needs a value, ${value}; see ${path} --help`);
  }
  if (value === null && text !== undefined) {
    throw wrong(`${long} takes no value; see ${path} --help`);
  }
  return text ?? "";
}

/** Reads as getopt_long(3) does, but for abbreviated options. */
function tokensOf(options: Options, args: readonly string[]) {
  const config: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const { long, short, value } of Object.values(options)) {
    const type = value === null ? "boolean" : "string";
    config[long.slice(2)] = short === null ? { type } : { type, short };
  }
  const { tokens } = parseArgs({
    args: withEmptyValues(options, args),
    options: config,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  return tokens;
}

/** An option whose value may be missing is given an empty one before what cannot be its value. */
function withEmptyValues(options: Options, args: readonly string[]): string[] {
  const optional = Object.values(options).filter(({ value }) => value?.startsWith("["));
  return args.map((arg, index) => {
    const found = optional.find((option) => is(option, arg));
    const isFollowed = !(args[index + 1] ?? "-").startsWith("-");
    return found === undefined || isFollowed ? arg : `${found.long}=`;
  });
}

function requireArguments(command: Command, path: string, operands: readonly string[]): void {
  const { arguments: wanted, ignoresRest = false } = command;
  const missing = wanted[operands.length];
  if (missing !== undefined && missing.count !== "optional") {
    throw wrong(`missing required argument '${missing.name}'; see ${path} --help`);
  }
  if (ignoresRest || wanted.at(-1)?.count === "repeated") return;
  const superfluous = operands[wanted.length];
  if (superfluous !== undefined) {
    throw wrong(`too many arguments: '${superfluous}'; see ${path} --help`);
  }
}

function unknownOption(name: string, options: Options, path: string) {
  const names = [...Object.values(options), helpOption].map(({ long }) => long);
  return wrong(`unknown option '${name}'${suggestion(name, names)}; see ${path} --help`);
}

function print(text: string): Invocation {
  return { kind: "print", text };
}

function width(): number {
  return process.stdout.columns ?? USUAL_WIDTH;
}
