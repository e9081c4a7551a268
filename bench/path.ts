import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The program's location in PATH; null if it is not there. */
export function findProgram(name: string): string | null {
  const { PATH = "" } = process.env;
  const candidates = PATH.split(delimiter).map((directory) => join(directory, name));
  return candidates.find(existsSync) ?? null;
}
