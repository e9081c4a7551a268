import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { daemonSocket } from "../../src/rpc/daemon-paths.js";
import { unsafePart } from "../../src/rpc/safe-directory.js";
import { isRoot } from "./unprivileged.js";

// Launcher and daemon find each other by one rule, which each has in its language.

const native = fileURLToPath(new URL("..", import.meta.url));
const NOBODY = 65_534;

let root: string;
let program: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "paths-"));
  program = join(root, "paths");
  const common = join(native, "launcher/common");
  execFileSync("cc", [
    ...["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", program],
    ...[
      join(native, "test/paths-main.c"),
      `${common}/daemon-paths.c`,
      `${common}/outside.c`,
      `${common}/safe-directory.c`,
    ],
  ]);
  for (const folder of ["own/below", "open/below", "sticky/below", "group", "theirs/below"]) {
    mkdirSync(join(root, folder), { recursive: true, mode: 0o700 });
  }
  chmodSync(join(root, "open"), 0o777);
  chmodSync(join(root, "sticky"), 0o1777);
  chmodSync(join(root, "group"), 0o770);
  const links: readonly [target: string, name: string][] = [
    ["own", "to-own"],
    [join(root, "own"), "to-own-by-root"],
    ["open/below", "to-open"],
    ["own/../open/../own", "around-open"],
    ["to-deep/../../own", "up-from-a-link"],
    ["to-deep/..", "above-a-link"],
    ["open/below", "to-deep"],
    ["circle", "circle"],
    ["missing", "dangling"],
  ];
  for (const [target, name] of links) symlinkSync(target, join(root, name));
});
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());

const DIRECTORIES: readonly [path: string, isSafe: boolean][] = [
  ["own", true],
  ["own/below", true],
  ["own/missing/below", true],
  ["open", false],
  ["open/below", false],
  ["open/missing", false],
  ["sticky", true],
  ["sticky/below", true],
  ["to-own", true],
  ["to-own/below", true],
  ["to-own-by-root/below", true],
  ["to-open", false],
  // A link's target is another directory's than ours: what is above that is not what is above the link.
  ["above-a-link", false],
  ["up-from-a-link", false],
  ["circle", false],
  ["dangling", true],
];

test("a directory that is left again at once counts for the launcher alone, which then starts Node", () => {
  expect(unsafePart(join(root, "around-open"), null)).toBeNull();
  expect(execFileSync(program, [join(root, "around-open")]).toString()).toBe("0");
});

test.each(DIRECTORIES)("%s is safe to both: %s", (path, isSafe) => {
  const whole = join(root, path);
  expect(unsafePart(whole, null) === null).toBe(isSafe);
  expect(execFileSync(program, [whole]).toString()).toBe(isSafe ? "1" : "0");
});

test.runIf(isRoot)("what belongs to somebody else is safe to neither, nor is a group's", () => {
  chownSync(join(root, "theirs"), NOBODY - 1, NOBODY - 1);
  chownSync(join(root, "group"), 0, NOBODY - 1);
  for (const path of ["theirs/below", "theirs", "group"]) {
    expect(unsafePart(join(root, path), null)).not.toBeNull();
    expect(execFileSync(program, [join(root, path)]).toString()).toBe("0");
  }
});

const ENVIRONMENTS: readonly Readonly<Record<string, string>>[] = [
  { XDG_RUNTIME_DIR: "own" },
  { XDG_RUNTIME_DIR: "open" },
  { XDG_RUNTIME_DIR: "open/below" },
  { XDG_RUNTIME_DIR: "missing" },
  { TMPDIR: "own" },
  { TMPDIR: "open" },
  { TMP: "own" },
  { TEMP: "sticky" },
];

test.each(ENVIRONMENTS)("both look for the daemon at the same path: %o", (given) => {
  const names = ["XDG_RUNTIME_DIR", "TMPDIR", "TMP", "TEMP"];
  for (const name of names) {
    const value = given[name];
    vi.stubEnv(name, value === undefined ? undefined : join(root, value));
  }
  const [launchers] = execFileSync(program).toString().split("\n");
  let directory = "-";
  try {
    directory = dirname(daemonSocket(process.env));
  } catch {
    // It is not safe.
  }
  expect(launchers).toBe(directory === "-" ? "-" : join(directory, "launchers.sock"));
});

test.each(["XDG_RUNTIME_DIR", "TMPDIR"])("%s that is not absolute is ignored by both", (name) => {
  vi.stubEnv("XDG_RUNTIME_DIR", "");
  vi.stubEnv(name, "run");
  const [launchers] = execFileSync(program).toString().split("\n");
  expect(launchers).toBe(join(dirname(daemonSocket(process.env)), "launchers.sock"));
});
