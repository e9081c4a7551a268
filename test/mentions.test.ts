import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** A file of this repository as documents and comments name it, from the root or from its own package. */
const MENTION =
  /(?<![\w./-])(?:src|native|wasm|test|bench|scripts|demo)\/[\w./-]*\.(?:ts|cjs|c|h|sh|md)\b/g;

/** Not written by hand, or of other projects; a CHANGELOG names what was. */
const OTHERS = /(^|\/)(node_modules|build|dist|\.git)\/|^CHANGELOG\.md$/;
/** Of libuv. */
const NOT_OURS = "src/unix/core.c";

it("files that documents and comments name are there", () => {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => !OTHERS.test(file))
    .filter(
      (file) =>
        file.endsWith(".md") || /^(src|native|wasm)\/(?!test\/).*\.(ts|cts|c|h|sh)$/.test(file),
    );
  const missing = files.flatMap((file) => {
    const text = readFileSync(path.join(root, file), "utf8");
    const own = file.split("/")[0];
    return [...text.matchAll(MENTION)]
      .map(([mention]) => mention)
      .filter((mention) => mention !== NOT_OURS)
      .filter(
        (mention) =>
          ![mention, path.join(own, mention)].some((each) => existsSync(path.join(root, each))),
      )
      .map((mention) => `${file} names ${mention}`);
  });
  expect(files.length).toBeGreaterThan(300);
  expect(missing).toEqual([]);
});
