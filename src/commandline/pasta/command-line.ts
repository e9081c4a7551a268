import manifest from "../../../package.json" with { type: "json" };
import { UserError } from "../../base/errors.js";
import { getopt } from "../parsing/getopt.js";
import { helpOf, helpOption, terminalWidth } from "../parsing/help.js";
import { type PastaInvocation, programs } from "./programs.js";

type ProgramName = keyof typeof programs;

export function isProgramOfPasta(name: string): name is ProgramName {
  return Object.hasOwn(programs, name);
}

/**
 * Parses a command line of pasta, passt or pesto.
 * @throws UserError with exit status 1, as in the originals
 */
export function parsePasta(name: ProgramName, args: readonly string[]): PastaInvocation {
  const program = programs[name];
  const options = { ...program.options, help: helpOption };
  try {
    const given = getopt(options, args, ["help", "version"], program.passesThrough);
    const last = given.options.at(-1)?.key;
    if (last === "version") return print(versionOf(name));
    if (last === "help") return print(helpOf(program, name, terminalWidth()));
    return program.invoke(given);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${error.message}; see ${name} --help`, 1);
    throw error;
  }
}

/** The first line is as in pasta. Its date is that of the pasta whose command line this is: clients compare it. */
function versionOf(name: string): string {
  return `${name} 0.0~git20261002.slipway\nslipway ${manifest.version}\n`;
}

function print(text: string): PastaInvocation {
  return { kind: "print", text };
}
