import { readFileSync } from "node:fs";
import { errnoOf, UserError } from "../../base/errors.js";
import { quoted } from "../../base/printable.js";
import type { EnvironmentOptions } from "../../commandline/invocation.js";
import { setDirectory, setVariable } from "../../netns/spawn.js";

/** Changes the environment that COMMAND gets. @throws UserError for a file that cannot be read, or is malformed */
export function setEnvironment({ files, variables, directory }: EnvironmentOptions): void {
  setDirectory(directory);
  for (const text of [...files.flatMap(readVariables), ...variables]) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    // Without a value it is the caller's own, which COMMAND has anyway.
    if (name !== undefined && value !== undefined) setVariable(name, value);
  }
}

/** The lines of a file in docker's format: NAME=VALUE, or NAME; a line that begins with # is a comment. */
function readVariables(file: string): readonly string[] {
  const lines = readLines(file).map((line) => line.trimStart());
  const variables = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const wrong = variables.find((line) => !/^[^=\s\0]+(=[^\0]*)?$/.test(line));
  if (wrong === undefined) return variables;
  throw new UserError(`--env-file ${file}: ${quoted(wrong)}: write it like NAME=value`);
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split(/\r?\n/);
  } catch (error) {
    throw new UserError(`--env-file ${file}: cannot be read (${errnoOf(error)}): check the path`);
  }
}
