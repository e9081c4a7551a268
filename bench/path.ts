import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Where PATH has a program; null when nowhere. */
export function findProgram(name: string): string | null {
  const { PATH = "" } = process.env;
  const candidates = PATH.split(delimiter).map((directory) => join(directory, name));
  return candidates.find(existsSync) ?? null;
}
