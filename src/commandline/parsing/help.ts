import { type Argument, type CommandGroup, type Described, isGroup } from "./command.js";
import { flag, type Option, type Options } from "./option.js";

export const helpOption = flag("-h, --help", "show this help");
export const versionOption = flag("-v, --version", "show the version");

/** For `run` -h is docker's: the hostname. */
export function helpOptionFor(options: Options): Option<boolean> {
  const isTaken = Object.values(options).some(({ short }) => short === helpOption.short);
  return isTaken ? { ...helpOption, short: null } : helpOption;
}

/** Narrower than this descriptions are hard to read. */
const LEAST_DESCRIPTION = 40;

/** Of a terminal that does not say it. */
const USUAL_WIDTH = 80;

/** In columns. */
export function terminalWidth(): number {
  return process.stdout.columns ?? USUAL_WIDTH;
}

/** What a list in the help has: a term, and its description. */
type Entry = readonly [term: string, description: string];

/**
 * The text of `--help`.
 * @param path the words that name the command
 * @param width in columns
 */
export function helpOf(node: Described | CommandGroup, path: string, width: number): string {
  const sections = isGroup(node) ? groupSections(node) : commandSections(node);
  const shown = [...sections].filter(([, entries]) => entries.length > 0);
  const terms = shown.flatMap(([, entries]) => entries.map(([term]) => term.length));
  const column = Math.max(...terms);
  return [
    `Usage: ${usagesOf(node)
      .map((usage) => `${path} ${usage}\n`)
      .join("       ")}`,
    `${wrapped(node.help, width).join("\n")}\n`,
    ...shown.map(([heading, entries]) => `${heading}\n${listOf(entries, column, width)}`),
  ].join("\n");
}

/** All forms of a command line. */
function usagesOf(node: Described | CommandGroup): readonly string[] {
  if (!isGroup(node) || node.otherwise === undefined) return [usageOf(node)];
  return [usageOf(node), usageOf(node.otherwise)];
}

function usageOf(node: Described | CommandGroup): string {
  if (isGroup(node)) return "COMMAND";
  const words = [
    ...(Object.keys(node.options).length > 0 ? ["[options]"] : []),
    ...node.arguments.map(argumentUsage),
  ];
  return node.usage ?? words.join(" ");
}

function argumentUsage({ name, count }: Argument): string {
  if (count === "optional") return `[${name}]`;
  return count === "repeated" ? `<${name}...>` : `<${name}>`;
}

function groupSections(group: CommandGroup): Map<string, Entry[]> {
  const options = group.version === undefined ? { helpOption } : { versionOption, helpOption };
  const commands = group.commands.map(({ name, help }): Entry => [name, help]);
  const { otherwise } = group;
  const other: Entry[] = otherwise === undefined ? [] : [[usageOf(otherwise), otherwise.help]];
  const help: Entry = ["help [command]", "show the help of a command"];
  return new Map([...optionSections(options), ["Commands:", [...commands, ...other, help]]]);
}

function commandSections(command: Described): Map<string, Entry[]> {
  const { options, version } = command;
  const versions: Options = version === undefined ? {} : { versionOption };
  const args = command.arguments.flatMap(({ name, help }): Entry[] =>
    help === null ? [] : [[name, help]],
  );
  return new Map([
    ["Arguments:", args],
    ...optionSections({ ...versions, ...options, helpOption: helpOptionFor(options) }),
  ]);
}

/** The options without a heading of their own come first. */
function optionSections(options: Options): Map<string, Entry[]> {
  const sections = new Map<string, Entry[]>([["Options:", []]]);
  for (const option of Object.values(options)) {
    if (option.isHidden) continue;
    const heading = option.group ?? "Options:";
    const entries = sections.get(heading) ?? [];
    sections.set(heading, [...entries, [flagsOf(option), descriptionOf(option)]]);
  }
  return sections;
}

function flagsOf({ short, long, value }: Option<unknown>): string {
  return `${short === null ? "" : `-${short}, `}${long}${value === null ? "" : ` ${value}`}`;
}

function descriptionOf({ help, default: byDefault }: Option<unknown>): string {
  return byDefault === null ? help : `${help} (default: ${byDefault})`;
}

function listOf(entries: readonly Entry[], column: number, width: number): string {
  const indent = " ".repeat(column + 4);
  const space = Math.max(width - indent.length, LEAST_DESCRIPTION);
  return entries
    .map(([term, description]) => {
      const lines = wrapped(description, space).join(`\n${indent}`);
      return `  ${term.padEnd(column)}  ${lines}\n`;
    })
    .join("");
}

/** Lines of words, each as long as it can be. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
