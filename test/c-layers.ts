import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";

/** What each unit of C includes. A unit is x.c and x.h together, named by its path without the ending. */
export type Includes = ReadonlyMap<string, readonly string[]>;

/** The includes of all C files below `root`. */
export function readIncludes(root: string): Includes {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) =>
    /\.[ch]$/.test(file),
  );
  return includesOf(new Map(files.map((file) => [file, readFileSync(`${root}/${file}`, "utf8")])));
}

/** The includes of files, given as texts by path. What is none of these files, as lwIP's headers, is left out. */
export function includesOf(files: ReadonlyMap<string, string>): Includes {
  const includes = new Map<string, Set<string>>();
  for (const file of files.keys()) includes.set(unitOf(file), new Set());
  for (const [file, text] of files) {
    const own = unitOf(file);
    for (const [, header] of text.matchAll(/^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/gm)) {
      const unit = unitOf(posix.join(posix.dirname(file), header));
      if (unit !== own && includes.has(unit)) includes.get(own)?.add(unit);
    }
  }
  return new Map([...includes].map(([unit, included]) => [unit, [...included].sort()]));
}

function unitOf(path: string): string {
  return path.replace(/\.[ch]$/, "");
}

/** What the folders of these units include: of each, other folders. */
export function byFolder(includes: Includes): Includes {
  const folders = new Map<string, Set<string>>();
  for (const [unit, included] of includes) {
    const folder = posix.dirname(unit);
    const others = folders.get(folder) ?? new Set();
    for (const other of included) others.add(posix.dirname(other));
    others.delete(folder);
    folders.set(folder, others);
  }
  return new Map([...folders].map(([folder, others]) => [folder, [...others].sort()]));
}

/** Every include of `includes` that leads upwards in an order from the top down. */
export function findUpwards(includes: Includes, order: readonly string[]): string[] {
  return [...includes].flatMap(([unit, included]) =>
    included
      .filter((other) => order.indexOf(other) < order.indexOf(unit))
      .map((other) => `${unit} includes ${other}`),
  );
}
