import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { unsafePart } from "../../src/rpc/safe-directory.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "safe-"));
});
afterEach(() => rmSync(root, { recursive: true }));

test("makes missing directories, private to the user", () => {
  const directory = join(root, "a/b/c");
  expect(unsafePart(directory, null)).toBeNull();
  expect(unsafePart(directory, 0o700)).toBeNull();
  for (const each of ["a", "a/b", "a/b/c"]) {
    expect(statSync(join(root, each)).mode & 0o777).toBe(0o700);
  }
});

test("names a component that others can write, and makes nothing in it", () => {
  mkdirSync(join(root, "open/own"), { recursive: true });
  chmodSync(join(root, "open"), 0o777);
  expect(unsafePart(join(root, "open/own"), 0o700)).toBe(join(root, "open"));
  expect(unsafePart(join(root, "open/missing"), 0o700)).toBe(join(root, "open"));
  expect(lstatSync(join(root, "open/missing"), { throwIfNoEntry: false })).toBeUndefined();
  chmodSync(join(root, "open"), 0o1777);
  expect(unsafePart(join(root, "open/own"), null)).toBeNull();
});

test("follows links and checks their targets", () => {
  mkdirSync(join(root, "open/own"), { recursive: true });
  mkdirSync(join(root, "closed"));
  chmodSync(join(root, "open"), 0o777);
  symlinkSync("open/own", join(root, "relative"));
  symlinkSync(join(root, "closed"), join(root, "absolute"));
  symlinkSync("closed/../open/../closed", join(root, "around"));
  symlinkSync("self", join(root, "self"));
  expect(unsafePart(join(root, "relative/x"), null)).toBe(join(root, "open"));
  expect(unsafePart(join(root, "absolute/x"), 0o700)).toBeNull();
  expect(statSync(join(root, "closed/x")).isDirectory()).toBe(true);
  expect(unsafePart(join(root, "around"), null)).toBeNull();
  expect(unsafePart(join(root, "self"), null)).toBe(join(root, "self"));
});

test("reports a file in place of a directory", () => {
  writeFileSync(join(root, "file"), "");
  expect(() => unsafePart(join(root, "file/x"), null)).toThrow("ENOTDIR");
});
