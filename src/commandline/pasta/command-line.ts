import manifest from "../../../package.json" with { type: "json" };
import { UserError } from "../../base/errors.js";
import type { Invocation } from "../invocation.js";
import type { Command } from "../parsing/command.js";
import { type GivenOption, getopt } from "../parsing/getopt.js";
import { helpOf, helpOption } from "../parsing/help.js";
import type { Options } from "../parsing/option.js";
import { passt, pasta } from "./programs.js";

/** Of a terminal that does not say it. */
const USUAL_WIDTH = 80;

/**
 * Parses a command line of pasta or passt.
 * @throws UserError with exit status 1, as in the originals
 */
export function parsePasta(name: "pasta" | "passt", args: readonly string[]): Invocation {
  const program = name === "pasta" ? pasta : passt;
  const options: Options = { ...program.options, help: helpOption };
  return withStatus(name, () => {
    const given = getopt(options, args, ["help", "version"], program.passesThrough ?? false);
    const last = given.options.at(-1)?.key;
    if (last === "version") return print(versionOf(name));
    if (last === "help") return print(helpOf(program, name, process.stdout.columns ?? USUAL_WIDTH));
    return program.invoke(valuesOf(program, given.options), given.operands, new Set());
  });
}

/** The checked values of all options. */
function valuesOf({ options }: Command, given: readonly GivenOption[]): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(options)) {
    values[key] = option.read(given.filter((each) => each.key === key).map(({ text }) => text));
  }
  return values;
}

/** The first line is as pasta prints it: clients look for the date of the pasta whose command line this is. */
function versionOf(name: string): string {
  return `${name} 0.0~git20260601.slipway\nslipway ${manifest.version}\n`;
}

function print(text: string): Invocation {
  return { kind: "print", text };
}

/** Has every error end with whose help explains it. */
function withStatus<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${error.message}; see ${name} --help`, 1);
    throw error;
  }
}
