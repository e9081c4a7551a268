import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { launcherFile, sanitizerEnvironment } from "./launcher-file.js";

// The supervisor's store (launcher/supervisor/store.h) against a daemon that may say anything: store-daemon.c.

/** An installation in which that daemon stands for Node. */
let root: string;
let stayed: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "store-"));
  stayed = join(root, "slipway.stayed");
  for (const folder of ["bin", "dist"]) mkdirSync(join(root, folder));
  copyFileSync(launcherFile, join(root, "bin/slipway"));
  writeFileSync(join(root, "dist/slipway.cjs"), "");
  const source = fileURLToPath(new URL("store-daemon.c", import.meta.url));
  const flags = ["-Wall", "-Wextra", "-Werror", "-std=gnu17", "-D_GNU_SOURCE"];
  execFileSync("cc", [...flags, "-o", join(root, "daemon"), source]);
});
afterAll(() => rmSync(root, { recursive: true }));
beforeEach(() => rmSync(stayed, { force: true }));

/**
 * Both lives of the daemon, in namespaces of their own: what is answered, by how many descriptors of the
 * supervisor there are more then, and what the second is handed.
 */
function attack(name: string, files = 4096): string {
  const result = spawnSync(
    "prlimit",
    [
      ...[`--nofile=${files}:${files}`, "unshare", "-Urn"],
      ...[join(root, "bin/slipway"), "daemon", "run"],
    ],
    {
      env: {
        SLIPWAY_NODE: join(root, "daemon"),
        XDG_RUNTIME_DIR: root,
        ATTACK: name,
        ...sanitizerEnvironment,
      },
      encoding: "utf8",
      timeout: 60_000,
    },
  );
  expect(result).toMatchObject({ status: 0, signal: null, stderr: "" });
  return result.stdout.trim();
}

test("keeps a TAP, replaces it by another, and drops one", () => {
  expect(attack("keep")).toBe("end done done done done refused +1; a=three 1");
});

test("keeps what was sent just before the end", () => {
  expect(attack("early")).toMatch(/^end [^;]*; a=one b=one c=one 3$/);
});

test("hears no message of another size, and goes on", () => {
  expect(attack("sizes")).toBe("end done +1; a=one 1");
});

test("takes one descriptor and no more, and leaves none of the others open", () => {
  expect(attack("many")).toBe("end refused refused refused done refused refused +1; a=one 1");
});

test("refuses what it does not know", () => {
  const refused = Array.from({ length: 12 }, () => "refused").join(" ");
  expect(attack("kinds")).toBe(`end ${refused} +0; 0`);
});

test("keeps nothing but TAPs", () => {
  const refused = Array.from({ length: 8 }, () => "refused").join(" ");
  expect(attack("others")).toBe(`end ${refused} +0; 0`);
});

test("keeps so many and no more, and fewer where it has no descriptors left", () => {
  expect(attack("too many")).toMatch(/^end 1024 [^;]*; 0=one 1=one 2=one 1024$/);
  const [, taken, handed] =
    /^end (\d+) [^;]*; 0=one 1=one 2=one (\d+)$/.exec(attack("too many", 64)) ?? [];
  expect(Number(taken)).toBeGreaterThan(40);
  expect(Number(taken)).toBeLessThan(64);
  expect(handed).toBe(taken);
});

test("outlives a flood of whose answers none is read", () => {
  expect(attack("flood")).toMatch(/^end [^;]*; (a=one 1|0)$/);
});

test("rests when the daemon says no more, and has what it kept", () => {
  expect(attack("silence")).toBe("end done rests +1; a=one 1");
});

test("tells which namespaces the TAPs are in, to the user alone, and follows no link", () => {
  const other = join(root, "other");
  writeFileSync(other, "mine");
  symlinkSync(other, stayed);
  attack("keep");
  const text = readFileSync(stayed, "utf8");
  expect(text).toMatch(/^\d+:\d+ [1-9]\d*\n$/);
  expect(text).not.toContain(`:${statSync("/proc/self/ns/net").ino} `);
  expect(statSync(stayed).mode & 0o777).toBe(0o600);
  expect(readFileSync(other, "utf8")).toBe("mine");
  rmSync(stayed);
  attack("others");
  expect(existsSync(stayed)).toBe(false);
});
