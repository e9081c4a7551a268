import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launcherFile, sanitizerEnvironment } from "./launcher-file.js";

/** The mount namespace of this process. */
const mounts = readlinkSync("/proc/self/ns/mnt");

/** An installation whose bundle tells how it was started. */
let root: string;
let launcher: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "launcher-"));
  launcher = join(root, "bin/slipway");
  for (const folder of ["bin", "dist", "other"]) mkdirSync(join(root, folder));
  copyFileSync(launcherFile, launcher);
  symlinkSync("slipway", join(root, "bin/slirp4netns"));
  symlinkSync("../bin/slirp4netns", join(root, "other/link"));
  writeFileSync(
    join(root, "dist/slipway.cjs"),
    `
    const { readFileSync, readlinkSync } = require("fs");
    const status = readFileSync("/proc/self/status", "utf8");
    console.log(JSON.stringify({
      args: process.argv.slice(2),
      pid: process.pid,
      parent: process.ppid,
      environment: process.env,
      filtered: /Seccomp:\\t2/.test(status),
      ownMounts: readlinkSync("/proc/self/ns/mnt") !== "${mounts}",
      file: __filename,
    }));
  `,
  );
});
afterAll(() => rmSync(root, { recursive: true }));

interface Start {
  readonly args: string[];
  readonly pid: number;
  readonly parent: number;
  readonly environment: {
    readonly NODE?: string;
    readonly SLIPWAY_NODE?: string;
    readonly SLIPWAY_FDS?: string;
    readonly SLIPWAY_IGNORED?: string;
    readonly SLIPWAY_BROKER?: string;
    readonly SLIPWAY_ROOT?: string;
    readonly SLIPWAY_STORE?: string;
  };
  readonly filtered: boolean;
  readonly ownMounts: boolean;
  readonly file: string;
}

function start(file: string, args: string[], env: NodeJS.ProcessEnv = {}) {
  const result = spawnSync(file, args, {
    cwd: "/",
    env: { SLIPWAY_NODE: process.execPath, ...sanitizerEnvironment, ...env },
    encoding: "utf8",
  });
  const told = result.status === 0 ? (JSON.parse(result.stdout) as Start) : null;
  return { ...result, told };
}

/** A `node` that says it is of a version, and otherwise is ours. */
function fakeNode(folder: string, version: string): string {
  const path = join(root, folder);
  mkdirSync(path, { recursive: true });
  const file = join(path, "node");
  writeFileSync(
    file,
    `#!/bin/sh\n[ "$1" = --version ] && echo ${version} && exit\nNODE=${folder} exec ${process.execPath} "$@"\n`,
  );
  chmodSync(file, 0o755);
  return path;
}

test("it becomes Node: the same process, with its own bundle and the name of its program", () => {
  const { told, pid } = start(launcher, ["attach", "--mtu", "1500", "--", "x y"]);
  expect(told).toMatchObject({
    args: ["slipway", "attach", "--mtu", "1500", "--", "x y"],
    pid,
    parent: process.pid,
    file: join(root, "dist/slipway.cjs"),
  });
  expect(start(join(root, "bin/slirp4netns"), ["-c"]).told?.args).toEqual(["slirp4netns", "-c"]);
  expect(start(join(root, "other/link"), []).told).toMatchObject({
    args: ["slipway"],
    file: join(root, "dist/slipway.cjs"),
  });
});

test("it says that there are too few descriptors for Node", () => {
  const script = `ulimit -n "$1"; exec ${launcher} run -- true`;
  const result = start("/bin/sh", ["-c", script, "sh", "31"]);
  expect([result.status, result.stderr]).toEqual([
    1,
    "slipway: the limit of open files is 31, and Node.js needs 32: raise it where it is set, as by ulimit -n 1024\n",
  ]);
  expect(start("/bin/sh", ["-c", script, "sh", "32"]).status).toBe(0);
  const soft = `ulimit -S -n 12; exec ${launcher} run -- true`;
  expect(start("/bin/sh", ["-c", soft]).status).toBe(0);
});

test("it lists the descriptors that were open and the signals that were ignored", () => {
  const script = `trap '' HUP USR1; exec ${launcher} 7</dev/null`;
  const environment = start("/bin/sh", ["-c", script]).told?.environment;
  // The test runner leaves descriptors of its own open, with high numbers.
  expect(environment?.SLIPWAY_FDS).toMatch(/^0,1,2,7(,|$)/);
  expect(environment?.SLIPWAY_IGNORED).toBe("1,10");
});

test("variables that change Node are parked, others stay", () => {
  const { told } = start(launcher, [], {
    NODE_OPTIONS: "--no-such-option",
    NODE_EXTRA_CA_CERTS: "/nonexistent",
    UV_THREADPOOL_SIZE: "1",
    OPENSSL_CONF: "/nonexistent",
    OPENSSL_CONFUSED: "no",
    NODE: "plain",
  });
  const environment = Object.entries(told?.environment ?? {}).filter(
    ([name]) => !/^(SLIPWAY_(NODE|FDS|IGNORED|BROKER|ROOT)|(AS|UBS)AN_OPTIONS)$/.test(name),
  );
  expect(Object.fromEntries(environment)).toEqual({
    SLIPWAY_PARKED_NODE_OPTIONS: "--no-such-option",
    SLIPWAY_PARKED_NODE_EXTRA_CA_CERTS: "/nonexistent",
    SLIPWAY_PARKED_UV_THREADPOOL_SIZE: "1",
    SLIPWAY_PARKED_OPENSSL_CONF: "/nonexistent",
    OPENSSL_CONFUSED: "no",
    NODE: "plain",
  });
});

test("io_uring is denied, and a command that makes a network has a broker and its own mounts", () => {
  const { told } = start(launcher, ["run", "--", "true"]);
  expect(told?.filtered).toBe(true);
  expect(told?.environment.SLIPWAY_ROOT).toBe("own");
  expect(told?.ownMounts).toBe(true);
  expect(told?.environment.SLIPWAY_BROKER).toMatch(/^\d+$/);
});

test("closed standard streams are not reused for other descriptors", () => {
  const { stdout } = start("/bin/sh", ["-c", `exec ${launcher} attach 1 <&- 2>&-`]);
  const { environment }: Start = JSON.parse(stdout);
  expect(environment.SLIPWAY_FDS).toMatch(/^1(,|$)/);
  expect(Number(environment.SLIPWAY_BROKER)).toBeGreaterThan(2);
});

test("the caller cannot set what only the launcher may", () => {
  const forged = { SLIPWAY_BROKER: "0", SLIPWAY_ROOT: "own", SLIPWAY_STORE: "0" };
  const { told } = start(launcher, ["--version"], forged);
  expect(told?.environment.SLIPWAY_BROKER).toBeUndefined();
  expect(told?.environment.SLIPWAY_ROOT).toBeUndefined();
  expect(told?.environment.SLIPWAY_STORE).toBeUndefined();
});

test.each(["doctor", "status", "--help", "--version"])(
  "%s is left where it was started",
  (word) => {
    const { told } = start(launcher, [word]);
    expect(told?.environment.SLIPWAY_BROKER).toBeUndefined();
    expect(told?.ownMounts).toBe(false);
  },
);

describe("which Node", () => {
  test("the first in PATH that is new enough; relative directories do not count", () => {
    const path = [
      "relative",
      "",
      join(root, "nowhere"),
      fakeNode("old", "v20.19.0"),
      fakeNode("odd", "nonsense"),
      fakeNode("new", "v22.0.0"),
      fakeNode("newer", "v30.1.2"),
    ].join(":");
    const { told } = start(launcher, [], { SLIPWAY_NODE: "", PATH: path });
    expect(told?.environment.NODE).toBe("new");
  });

  test("the named one before the installed one, that before PATH", () => {
    const installed = fakeNode("node_modules/.bin", "v1");
    const path = fakeNode("new", "v22.0.0");
    const first = start(launcher, [], { SLIPWAY_NODE: "", PATH: path });
    expect(first.told?.environment.NODE).toBe("node_modules/.bin");
    expect(start(launcher, [], { PATH: path }).told?.environment.NODE).toBeUndefined();
    rmSync(installed, { recursive: true });
  });

  test.each([
    [
      "there is none",
      "",
      "",
      /^slipway: needs Node.js 22 or newer: none in .*; name one by SLIPWAY_NODE\n$/,
    ],
    [
      "the named one is missing",
      "/nonexistent",
      "",
      /^slipway: SLIPWAY_NODE=\/nonexistent is not an executable file\n$/,
    ],
    [
      "the named one is a folder",
      "/usr",
      "",
      /^slipway: SLIPWAY_NODE=\/usr is not an executable file\n$/,
    ],
  ])("%s: one line, and 1", (_, SLIPWAY_NODE, PATH, line) => {
    const { status, stdout, stderr } = start(launcher, [], { SLIPWAY_NODE, PATH });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(line);
  });
});

test("without a bundle it prints one line and exits with 1", () => {
  const alone = join(root, "alone/bin");
  mkdirSync(alone, { recursive: true });
  copyFileSync(launcherFile, join(alone, "slipway"));
  const { status, stderr } = start(join(alone, "slipway"), []);
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^slipway: can't read .*dist\/slipway.cjs: .*; build it by scripts\/build\n$/,
  );
});
