import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launcherFile, sanitizerEnvironment } from "./launcher-file.js";
import { isRoot } from "./unprivileged.js";

// Broker, keeper and agent, started by the real launcher, against hostile.c instead of Node.

const native = fileURLToPath(new URL("..", import.meta.url));

/** An installation. */
let root: string;
/** A process in namespaces of its own. */
let held: ChildProcess;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "hostile-"));
  for (const folder of ["bin", "dist"]) mkdirSync(join(root, folder));
  copyFileSync(launcherFile, join(root, "bin/slipway"));
  writeFileSync(join(root, "dist/slipway.cjs"), "");
  execFileSync("cc", [
    ...["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"],
    ...[
      "-o",
      join(root, "hostile"),
      join(native, "test/hostile.c"),
      join(native, "src/held/plan.c"),
    ],
  ]);
  held = spawn("unshare", ["-Urn", "sh", "-c", "echo; exec sleep 1000"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (held.stdout !== null) await once(held.stdout, "data");
});
afterAll(() => {
  held.kill();
  rmSync(root, { recursive: true });
});

function hostileEnvironment(name: string): NodeJS.ProcessEnv {
  const node = { SLIPWAY_NODE: join(root, "hostile"), ATTACK: name, TARGET: `${held.pid}` };
  return { ...node, ...sanitizerEnvironment };
}

/** What broker and agent answered. */
function attack(name: string, env: NodeJS.ProcessEnv = {}): readonly string[] {
  const { stdout, signal } = spawnSync(join(root, "bin/slipway"), ["attach", "1"], {
    env: { ...hostileEnvironment(name), ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 20_000,
  });
  expect(signal).toBeNull();
  return stdout.trimEnd().split("\n");
}

/** The broker gives the agent's socket, and the agent says that it has entered. */
const started = ["ok+fd", "ok"];

describe("an agent", () => {
  test("refuses a name without an end, longer than an interface's, or empty", () => {
    const refused = Array.from({ length: 10 }, () => "EINVAL");
    expect(attack("names")).toEqual([...started, ...refused, "ok"]);
  });

  test("refuses a request whose length is not what it says", () => {
    const refused = Array.from({ length: 5 }, () => "EINVAL");
    expect(attack("lengths")).toEqual([...started, "ok", ...refused, "ENOSYS", "ok"]);
  });

  test("ends on a request longer than any may be", () => {
    expect(attack("oversized-to-agent")).toEqual([...started, "end"]);
  });

  test("makes only the sockets that Slipway asks for", () => {
    const refused = Array.from({ length: 12 }, () => "EACCES");
    expect(attack("sockets")).toEqual([...started, ...refused, "ok+fd", "ok+fd", "ok+fd"]);
  });

  test("passes on only the netlink requests that Slipway makes", () => {
    const refused = Array.from({ length: 9 }, () => "EINVAL");
    expect(attack("netlink")).toEqual([...started, ...refused, "ok"]);
  });

  test("opens one TAP", () => {
    expect(attack("taps")).toEqual([...started, "EINVAL", "ok+fd", "EMFILE", "ok"]);
  });

  test("has two capabilities and no files, and cannot be traced", async () => {
    const looked = spawn(join(root, "bin/slipway"), ["attach", "1"], {
      env: hostileEnvironment("look"),
      stdio: ["pipe", "pipe", "inherit"],
    });
    let told = "";
    for await (const part of looked.stdout) {
      told += part;
      if (told.split("\n").length > 3) break;
    }
    const [, pid, entered] = told.split("\n");
    expect(entered).toBe("ok");
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const [CAP_NET_BIND_SERVICE, CAP_NET_ADMIN] = [10, 12];
    expect(/CapPrm:\t(.*)/.exec(status)?.[1]).toBe(
      (2 ** CAP_NET_BIND_SERVICE + 2 ** CAP_NET_ADMIN).toString(16).padStart(16, "0"),
    );
    expect(status).toContain("NoNewPrivs:\t1");
    // What is not dumpable belongs to root (proc(5)), who alone sees where its root is.
    expect(statSync(`/proc/${pid}/mem`).uid).toBe(0);
    if (isRoot) expect(readdirSync(`/proc/${pid}/root`)).not.toContain("etc");
    looked.stdin.end();
    await once(looked, "close");
  });
});

describe("the broker", () => {
  test("refuses a path without an end, and an unknown operation", () => {
    const refused = Array.from({ length: 6 }, () => "EINVAL");
    expect(attack("paths")).toEqual([...refused, "ENOSYS", "ok"]);
  });

  test("ends on a request longer than any may be", () => {
    expect(attack("oversized-to-broker")).toEqual(["end"]);
  });

  test("closes descriptors that it did not ask for", () => {
    const answers = Array.from({ length: 17 }, () => "ok");
    expect(attack("descriptors")).toEqual([...answers, "0 more"]);
  });

  test("takes a plan only from a sealed memfd", () => {
    const [none, ...others] = attack("no-plans");
    expect(none).toBe("EBADF");
    expect(others).toEqual([...Array.from({ length: 5 }, () => "EINVAL"), "E2BIG"]);
  });

  test("takes only a complete plan, with all of its texts", () => {
    const refused = Array.from({ length: 20 }, () => "EINVAL");
    expect(attack("plans")).toEqual([...refused, "ok+fd"]);
  });
});

describe("the keeper", () => {
  test("removes a socket when it ends, but no other file", () => {
    const file = join(root, "file");
    writeFileSync(file, "");
    const answers = attack("keeper", { FILE: file });
    expect(answers.at(-1)).toBe("left");
    rmSync(file);
  });
});
