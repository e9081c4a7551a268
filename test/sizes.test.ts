import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

/**
 * A file has one subject and at most 400 lines, a folder at most 15 files. Each exception has its reason here, and goes
 * when it is no longer one.
 */
const MOST_LINES = 400;
const MOST_FILES = 15;
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "src/wire": "one format a file, and formats do not know each other",
  "wasm/src":
    "one chain of layers, in the order of wasm/README.md; parts of it would have nothing of their own",
};

const root = fileURLToPath(new URL("..", import.meta.url));
const files = ["src", "native/src", "native/launcher", "wasm/src"].flatMap((folder) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(ts|c|h)$/.test(file))
    .map((file) => path.join(folder, file)),
);

/** How many source files each folder has; x.c and x.h count as one. */
function sizes(): Map<string, number> {
  const units = new Set(files.map((file) => file.replace(/\.[ch]$/, "")));
  const found = new Map<string, number>();
  for (const unit of units) {
    const folder = path.dirname(unit);
    found.set(folder, (found.get(folder) ?? 0) + 1);
  }
  return found;
}

const longFiles = files.filter(
  (file) => readFileSync(path.join(root, file), "utf8").split("\n").length - 1 > MOST_LINES,
);
const largeFolders = [...sizes()].flatMap(([folder, count]) =>
  count > MOST_FILES ? [folder] : [],
);

it(`no file has more than ${MOST_LINES} lines and no folder more than ${MOST_FILES} files without a reason`, () => {
  expect(files.length).toBeGreaterThan(200);
  expect([...longFiles, ...largeFolders].toSorted()).toEqual(Object.keys(EXCEPTIONS).toSorted());
});
