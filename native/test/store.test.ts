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

test("ignores a message of another size, and continues", () => {
  expect(attack("sizes")).toBe("end done +1; a=one 1");
});

test("takes exactly one descriptor, and closes any others", () => {
  expect(attack("many")).toBe("end refused refused refused done refused refused +1; a=one 1");
});

test("refuses unknown messages", () => {
  const refused = Array.from({ length: 12 }, () => "refused").join(" ");
  expect(attack("kinds")).toBe(`end ${refused} +0; 0`);
});

test("keeps nothing but TAPs", () => {
  const refused = Array.from({ length: 8 }, () => "refused").join(" ");
  expect(attack("others")).toBe(`end ${refused} +0; 0`);
});

test("keeps TAPs up to its capacity, and fewer when it runs out of descriptors", () => {
  expect(attack("too many")).toMatch(/^end 1024 [^;]*; 0=one 1=one 2=one 1024$/);
  const [, taken, handed] =
    /^end (\d+) [^;]*; 0=one 1=one 2=one (\d+)$/.exec(attack("too many", 64)) ?? [];
  expect(Number(taken)).toBeGreaterThan(40);
  expect(Number(taken)).toBeLessThan(64);
  expect(handed).toBe(taken);
});

test("survives a flood whose answers nobody reads", () => {
  expect(attack("flood")).toMatch(/^end [^;]*; (a=one 1|0)$/);
});

test("stays idle when the daemon stops sending, and keeps what it had", () => {
  expect(attack("silence")).toBe("end done rests +1; a=one 1");
});

test("lists the TAPs' namespaces for the user alone, and follows no link", () => {
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
