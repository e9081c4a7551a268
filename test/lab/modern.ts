import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./product.ts";

const built = join(root, "build/modern");

/** Where scripts/modern puts the programs that it builds, for {@link Stage.inside}. */
export const modernPrograms = join(built, "bin");

/** Why there is no such program, for the title of tests that are left out; null: there is. */
export function leftOut(program: string): string | null {
  if (existsSync(join(modernPrograms, program))) return null;
  const reasons = join(built, "left-out");
  const said = existsSync(reasons) ? readFileSync(reasons, "utf8").trim() : "";
  return said === "" ? "left out: scripts/modern has not run" : said.replaceAll("\n", "; ");
}
