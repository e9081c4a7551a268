import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** V8 also compares the flags that the product's launcher sets. */
test("V8 accepts the code cache of the bundle", () => {
  const tree = mkdtempSync(join(tmpdir(), "entry-"));
  onTestFinished(() => rmSync(tree, { recursive: true }));
  for (const folder of ["bin", "dist"]) mkdirSync(join(tree, folder));
  copyFileSync(join(root, "bin/slipway"), join(tree, "bin/slipway"));
  writeFileSync(
    join(tree, "dist/slipway.cjs"),
    `const script = require(${JSON.stringify(join(root, "dist/slipway.cjs"))});
     console.log("rejected:", script.cachedDataRejected);`,
  );
  const { stdout, stderr } = spawnSync(join(tree, "bin/slipway"), ["--version"], {
    env: { SLIPWAY_NODE: join(root, "node_modules/.bin/node") },
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^slipway \S+\nrejected: false\n$/);
});
