import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Options } from "../../src/commandline/parsing/option.js";
import { passtOptions, pastaOptions } from "../../src/commandline/pasta/options.js";

// The launcher must know before Node runs whether pasta goes to the background: its table of options is held against that
// of the command line's parser.

const native = fileURLToPath(new URL("..", import.meta.url));
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "pasta-options-"));
  execFileSync("cc", [
    ...["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", join(root, "kind")],
    ...[join(native, "test/pasta-options-main.c"), join(native, "launcher/pasta/options.c")],
  ]);
});

afterAll(() => {
  rmSync(root, { recursive: true });
});

function kindOf(...line: string[]): string {
  return execFileSync(join(root, "kind"), line, { encoding: "utf8" }).trim();
}

test.each([
  ["background", ["pasta", "42"]],
  ["background", ["pasta", "--netns", "/run/netns/a"]],
  ["background", ["pasta", "--netns=a"]],
  ["background", ["passt"]],
  ["foreground", ["pasta", "-f", "42"]],
  ["foreground", ["pasta", "-qf", "--netns", "a"]],
  ["foreground", ["pasta", "--foreground", "42"]],
  ["foreground", ["pasta", "--fore", "42"]],
  ["foreground", ["passt", "-f"]],
  ["command", ["pasta"]],
  ["command", ["pasta", "--config-net"]],
  ["command", ["pasta", "ip", "-f", "inet", "addr"]],
  ["command", ["pasta", "--", "sleep", "42"]],
  ["command", ["pasta", "42", "43"]],
  ["about itself", ["pasta", "--host-lo-to-ns-lo", "--version"]],
  ["about itself", ["pasta", "-dh"]],
] as const)("%s: %j", (kind, line) => {
  expect(kindOf(...line)).toBe(kind);
});

const ENDING: readonly string[] = ["--foreground", "--version", "--netns"];

test.each([
  ["pasta", pastaOptions as Options, ["42"]],
  ["passt", passtOptions as Options, []],
] as const)(
  "each option of %s takes a value for the launcher, too, or none",
  (name, options, rest) => {
    const others = Object.values(options).filter(({ long }) => !ENDING.includes(long));
    const wrong = others.flatMap(({ long, short, synonyms, value }) => {
      const names = [long, ...synonyms, ...(short === null ? [] : [`-${short}`])];
      // A value that would mean something if it were an option of its own.
      const given = value === null ? [] : ["-f"];
      return names.filter((each) => kindOf(name, each, ...given, ...rest) !== "background");
    });
    expect(others.length).toBeGreaterThan(40);
    expect(wrong).toEqual([]);
  },
);
