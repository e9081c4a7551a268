import type { Invocation } from "../invocation.js";
import type { Options, Values } from "./option.js";

/** An argument that is no option. All but the last are needed. */
export interface Argument {
  readonly name: string;
  /** null where the name says it. */
  readonly help: string | null;
  /** Whether it may be missing; given any number of times, at least once; or given once. */
  readonly count: "optional" | "repeated" | "once";
}

/** A program, or a command of one, that does something. */
export interface Command<O extends Options = Options> {
  readonly name: string;
  /** Another name, as docker has it; absent: there is none. */
  readonly alias?: string;
  readonly help: string;
  /** What follows the name in its usage; absent: options and arguments in the usual notation. */
  readonly usage?: string;
  /** Absent: it has none. */
  readonly version?: string;
  readonly options: O;
  readonly arguments: readonly Argument[];
  /** Whether the first argument ends the options, as another program's command line begins with it. */
  readonly passesThrough?: boolean;
  /** Options of other programs that mean nothing here, by name, and what to know or do instead. */
  readonly meaningless?: Readonly<Record<string, string>>;
  /** Whether flags are given by name only, not as --name=true: the launcher looks for their names. */
  readonly hasBareFlags?: boolean;
  /** Whether superfluous arguments are ignored. */
  readonly ignoresRest?: boolean;
  /**
   * @param given keys of the options that were given
   * @throws UserError
   */
  invoke(values: Values<O>, args: readonly string[], given: ReadonlySet<string>): Invocation;
}

/** What `--help` shows of it. */
export type Described = Pick<Command, "help" | "usage" | "version" | "options" | "arguments">;

/** A program, or a command of one, that has commands. */
export interface CommandGroup {
  readonly name: string;
  readonly help: string;
  /** Absent: it has none. */
  readonly version?: string;
  readonly commands: readonly (Command | CommandGroup)[];
  /** Commands of other programs that it does not have, by name, and what to know or do instead. */
  readonly foreign?: Readonly<Record<string, string>>;
  /** Takes a command line whose first word is none of `commands`; absent: there is no such command line. */
  readonly otherwise?: Command;
}

/** Infers the types of a command's values from its options. */
export function command<O extends Options>(definition: Command<O>): Command {
  return definition;
}

/** The command of a group that a word names. */
export function commandNamed(
  { commands }: CommandGroup,
  word: string,
): Command | CommandGroup | undefined {
  return commands.find((each) => each.name === word || (!isGroup(each) && each.alias === word));
}

export function isGroup(node: Described | CommandGroup): node is CommandGroup {
  return "commands" in node;
}
