import { existsSync } from "node:fs";
import path from "node:path";

/** Whether a program is in no directory of PATH. */
export function isMissing(file: string): boolean {
  const { PATH } = process.env;
  const directories = PATH?.split(path.delimiter) ?? [];
  return !file.includes("/") && !directories.some((each) => existsSync(path.join(each, file)));
}
