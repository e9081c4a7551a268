import { parseArgs } from "node:util";
import { UserError } from "../base/errors.js";
import { quoted } from "../base/printable.js";
import { slipway } from "./commands/slipway.js";
import { slirp4netns } from "./commands/slirp4netns.js";
import type { Invocation } from "./invocation.js";
import { type Command, type CommandGroup, commandNamed, isGroup } from "./parsing/command.js";
import { helpOf, helpOption, helpOptionFor, terminalWidth, versionOption } from "./parsing/help.js";
import type { Option, Options } from "./parsing/option.js";
import { questionOf, suggestion } from "./parsing/suggestion.js";
import { truth, wrong } from "./parsing/values.js";

const NONE: readonly string[] = [];

/**
 * Parses a command line, without looking at the machine.
 * @param name by which the program was called; `slirp4netns` has a command line of its own. Those of pasta and its siblings
 *   are parsed by parsePasta(): this program has none of their options
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

/**
 * @param path the words that name the program or command, for messages
 * @throws UserError that ends with whose help explains it
 */
function parseNode(
  node: Command | CommandGroup,
  path: string,
  args: readonly string[],
): Invocation {
  if (isGroup(node)) {
    const isHelp = args[0] === "help";
    const [word, ...rest] = isHelp ? args.slice(1) : args;
    const found = word === undefined ? undefined : commandNamed(node, word);
    if (found !== undefined) {
      return parseNode(found, `${path} ${found.name}`, isHelp ? helpArgs(found, rest) : rest);
    }
  }
  try {
    return isGroup(node) ? parseGroup(node, path, args) : parseCommand(node, path, args);
  } catch (error) {
    if (error instanceof UserError) throw wrong(`${error.message}; see ${path} --help`);
    throw error;
  }
}

/** `slipway help network create` is `slipway network create --help`. */
function helpArgs(node: Command | CommandGroup, words: readonly string[]): readonly string[] {
  return isGroup(node) ? ["help", ...words] : [helpOption.long];
}

/** The arguments of a group that begin with none of its commands. */
function parseGroup(group: CommandGroup, path: string, args: readonly string[]): Invocation {
  const [word = "help", about = helpOption.long] = args;
  if (is(helpOption, word)) return print(helpOf(group, path, terminalWidth()));
  if (group.version !== undefined && is(versionOption, word)) return print(`${group.version}\n`);
  if (word !== "help") return parseOther(group, path, word, args);
  if (is(helpOption, about) || about === "help") return print(helpOf(group, path, terminalWidth()));
  throw unknownWord(group, about);
}

function parseOther(
  group: CommandGroup,
  path: string,
  word: string,
  args: readonly string[],
): Invocation {
  const { otherwise } = group;
  if (otherwise === undefined) throw unknownWord(group, word);
  return parseCommand(otherwise, path, args);
}

function is({ short, long }: Option<unknown>, word: string): boolean {
  return word === long || word === `-${short}`;
}

function unknownWord(group: CommandGroup, word: string): UserError {
  const versions = group.version === undefined ? {} : { versionOption };
  if (word.startsWith("-")) return unknownOption(word, versions);
  const { foreign = {} } = group;
  if (Object.hasOwn(foreign, word)) return wrong(`there is no command ${word}: ${foreign[word]}`);
  const longs = Object.values(versions).map(({ long }) => long);
  const names = [...group.commands.map(({ name }) => name), ...longs];
  const within = pathsWithin(group, word);
  const question = within.length > 0 ? questionOf(within) : suggestion(word, names);
  return wrong(`unknown command ${quoted(word)}${question}`);
}

/** The commands of that name in the groups of a group, such as `network connect`. */
function pathsWithin(group: CommandGroup, word: string): readonly string[] {
  return group.commands.flatMap((each) => {
    const found = isGroup(each) ? commandNamed(each, word) : undefined;
    return found === undefined ? [] : [`${each.name} ${found.name}`];
  });
}

function parseCommand(command: Command, path: string, args: readonly string[]): Invocation {
  const versions = command.version === undefined ? {} : { versionOption };
  const standard = { helpOption: helpOptionFor(command.options), ...versions };
  const options: Options = { ...command.options, ...standard };
  const { given, operands, unknown } = split(command, options, args);
  if (given.has("versionOption")) return print(`${command.version}\n`);
  if (given.has("helpOption")) return print(helpOf(command, path, terminalWidth()));
  if (unknown !== null) throw notTaken(command, unknown, options, path);
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(command.options)) {
    values[key] = option.read(given.get(key) ?? NONE);
  }
  // Afterwards: where an option took what was meant as an argument, its value is wrong.
  requireArguments(command, operands);
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
function split(command: Command, options: Options, args: readonly string[]): Split {
  const keys = new Map(
    Object.entries(options).flatMap(([key, option]) =>
      longNames(option).map((name) => [name, key] as const),
    ),
  );
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
    if (isTurnedOff(command, token, option)) {
      given.delete(key);
      continue;
    }
    if (option.replaces !== null) given.delete(option.replaces);
    const texts = given.get(key) ?? [];
    texts.push(textOf(token, option));
    given.set(key, texts);
  }
  return { given, operands, unknown };
}

type Token = ReturnType<typeof tokensOf>[number];

/** The arguments from one that is no option; `--` itself is left out. */
function argsFrom(token: Token, args: readonly string[]): readonly string[] {
  return args.slice(token.kind === "option-terminator" ? token.index + 1 : token.index);
}

/** Without their dashes. */
function longNames({ long, synonyms }: Option<unknown>): [string, ...string[]] {
  return [long.slice(2), ...synonyms.map((name) => name.slice(2))];
}

type OptionToken = Extract<Token, { kind: "option" }>;

/** Whether a flag is given as --name=false, as docker has it: that is as if it were not given. */
function isTurnedOff(
  { hasBareFlags = false }: Command,
  { value: text }: OptionToken,
  { long, value, isSwitch }: Option<unknown>,
): boolean {
  if (value !== null || isSwitch || text === undefined) return false;
  if (hasBareFlags) throw wrong(`${long} takes no value`);
  return !truth(text, long);
}

/** The text of an option's value; "" where it has none. */
function textOf({ value: text }: OptionToken, { long, value }: Option<unknown>): string {
  if (value !== null && text === undefined) {
    throw wrong(`${long} needs a value, ${value}`);
  }
  return text ?? "";
}

/** Reads as getopt_long(3) does, but for abbreviated options. */
function tokensOf(options: Options, args: readonly string[]) {
  const config: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const option of Object.values(options)) {
    const { short } = option;
    const type = option.value === null ? "boolean" : "string";
    const [name, ...synonyms] = longNames(option);
    config[name] = short === null ? { type } : { type, short };
    for (const synonym of synonyms) config[synonym] = { type };
  }
  const { tokens } = parseArgs({
    args: args.map((arg, index) => spelledOut(options, arg, args[index - 1], args[index + 1])),
    options: config,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  return tokens;
}

/**
 * An argument as parseArgs() reads it: an option whose value may be missing is given an empty one before what cannot be its
 * value, and docker's -t=false becomes --tty=false.
 */
function spelledOut(options: Options, arg: string, before = "", after = "-"): string {
  if (!arg.startsWith("-")) return arg;
  const all = Object.values(options);
  const mayLackValue = all.find((each) => each.value?.startsWith("[") && is(each, arg));
  if (mayLackValue !== undefined) return after.startsWith("-") ? `${mayLackValue.long}=` : arg;
  const [, letter, text] = /^-(\w)=(.*)$/s.exec(arg) ?? [];
  const flag = all.find(({ short, value }) => short === letter && value === null);
  const isValue = all.some((each) => each.value !== null && is(each, before));
  return letter === undefined || flag === undefined || isValue ? arg : `${flag.long}=${text}`;
}

function requireArguments(command: Command, operands: readonly string[]): void {
  const { arguments: wanted, ignoresRest = false } = command;
  const missing = wanted[operands.length];
  if (missing !== undefined && missing.count !== "optional") {
    throw wrong(`missing required argument '${missing.name}'`);
  }
  requireTexts(command, operands);
  if (ignoresRest || wanted.at(-1)?.count === "repeated") return;
  const superfluous = operands[wanted.length];
  if (superfluous !== undefined) {
    throw wrong(`too many arguments: ${quoted(superfluous)}`);
  }
}

/** @throws UserError for an empty argument, such as that of an unset variable; COMMAND may have some */
function requireTexts({ arguments: wanted, passesThrough }: Command, operands: readonly string[]) {
  const own = passesThrough ? operands.slice(0, 1) : operands;
  for (const [index, operand] of own.entries()) {
    const repeated = wanted.at(-1)?.count === "repeated" ? wanted.at(-1) : undefined;
    const argument = wanted[index] ?? repeated;
    if (operand === "" && argument !== undefined)
      throw wrong(`argument '${argument.name}' is empty`);
  }
}

function notTaken(
  { meaningless = {} }: Command,
  name: string,
  options: Options,
  path: string,
): UserError {
  if (!Object.hasOwn(meaningless, name)) return unknownOption(name, options);
  return wrong(`${name} has no meaning for ${path}: ${meaningless[name]}`);
}

function unknownOption(name: string, options: Options): UserError {
  if (name === "-=")
    return wrong("= follows several letters: give each of them alone, as -t=false");
  const shown = [...Object.values(options), helpOption].filter(({ isHidden }) => !isHidden);
  const names = new Set(shown.map(({ long }) => long));
  return wrong(`unknown option ${quoted(name)}${suggestion(name, [...names])}`);
}

function print(text: string): Invocation {
  return { kind: "print", text };
}
