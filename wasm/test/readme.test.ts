import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? "";

test("the example of the README sends its SYN to the guest's port", () => {
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const output = execFileSync(process.execPath, ["--input-type=commonjs", "-e", example], { cwd });
  expect(String(output)).toBe("SYN to port 80\n");
});
