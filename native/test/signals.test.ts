import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Subject } from "./subject.js";

let directory: string;
/** test/lab/forge.c, built. */
let forge: string;
/** stuck.c, built. */
let stuck: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "signals-"));
  chmodSync(directory, 0o755);
  forge = build("../../test/lab/forge");
  stuck = build("stuck", "-shared", "-fPIC", "-pthread", "-Wl,-z,nodelete");
});
afterAll(() => rmSync(directory, { recursive: true }));

let subject: Subject;
beforeEach(() => {
  subject = Subject.start();
});
afterEach(() => subject.stop());

function build(name: string, ...options: string[]): string {
  const file = join(directory, basename(name));
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  execFileSync("cc", [
    "-std=gnu17",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    ...options,
    "-o",
    file,
    source,
  ]);
  return file;
}

test("a thread that did not give up its rights is noticed, whoever else sends the signal", async () => {
  const result = await subject.run(
    async ({ native, require, sleep }, forge: string, stuck: string) => {
      const { spawn } = require("node:child_process") as typeof import("node:child_process");
      try {
        process.dlopen({ exports: {} }, stuck);
      } catch {
        // It is no module of Node's, but it has been loaded, and its thread runs.
      }
      const sender = spawn(forge, ["flood", `${process.pid}`, "0", "33"]);
      await new Promise((resolve) => sender.stdout.once("data", resolve));
      await sleep(50);
      const result = native.lockDown(false, false, false);
      return { result, step: native.lastError().step };
    },
    forge,
    stuck,
  );
  expect(result).toEqual({ result: -110, step: "threads" });
});

test.each([
  ["nothing is mapped", "0xdead00000000"],
  ["something is mapped", "0x400000"],
])("a forged end of a time limit is none, with a pointer where %s", async (_, address) => {
  const seen = await subject.run(
    async ({ native, require }, forge: string, address: string) => {
      const { spawn } = require("node:child_process") as typeof import("node:child_process");
      let turns = 0;
      native.loopStart(() => {
        turns += 1;
        return -1;
      }, new Int32Array(2));
      const limited = native.loopLimit(3_600, new TextEncoder().encode("stuck\n"));
      // In the middle of one long turn, many times: SIGVTALRM.
      const sender = spawn(forge, [
        "signals",
        `${process.pid}`,
        address,
        ..."26 26 26 26".split(" "),
      ]);
      const code = await new Promise((resolve) => sender.once("exit", resolve));
      native.loopStop();
      return { limited, code, turned: turns > 0 };
    },
    forge,
    address,
  );
  expect(seen).toEqual({ limited: 0, code: 0, turned: true });
  expect(subject.output).toBe("");
});
