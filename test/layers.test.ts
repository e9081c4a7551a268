import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { findBreaches, importsOf, LAYERS, readImports } from "./layers.js";

const root = fileURLToPath(new URL("..", import.meta.url));

it("src/ keeps its layers", () => {
  const imports = readImports(`${root}/src`);
  expect(imports.size).toBeGreaterThan(0);
  expect(findBreaches(imports)).toEqual([]);
});

it("each unit of src/ opens with a README", () => {
  const units = LAYERS.flat();
  expect(units.filter((unit) => !existsSync(`${root}/src/${unit}/README.md`))).toEqual([]);
});

it("src/README.md lists the layers from the top down", () => {
  const text = readFileSync(`${root}/src/README.md`, "utf8");
  const listed = [...text.matchAll(/^ {4}([a-z/, ]+)$/gm)].map(([, line]) =>
    line.split(", ").toSorted(),
  );
  expect(listed).toEqual(LAYERS.map((units) => units.toSorted()).toReversed());
});

it("docs/architecture.md shows the layers as they are", () => {
  const text = readFileSync(`${root}/docs/architecture.md`, "utf8");
  const shown = [...text.matchAll(/^\| (\d+) \| ((?:`[a-z/]+\/`(?:, )?)+) \|/gm)].flatMap(
    ([, rank, folders]) => folders.split(", ").map((each) => `${rank} ${each.slice(1, -2)}`),
  );
  const kept = LAYERS.flatMap((units, rank) => units.map((unit) => `${rank} ${unit}`));
  expect(shown.toSorted()).toEqual(kept.toSorted());
});

describe("findBreaches", () => {
  const breaches = (imports: Record<string, string[]>): string[] =>
    findBreaches(new Map(Object.entries(imports)));

  it("allows imports downwards, inside a folder and of packages", () => {
    const allowed = {
      "base/a.ts": ["node:fs", "ipaddr.js"],
      "wire/a.ts": ["base/a.ts", "wire/b.ts"],
      "wire/b.ts": [],
      "sys/a.ts": ["node-tuntap2"],
      "stack/a.ts": ["lwip-wasm", "lwip-wasm/abi.js"],
      "guest/a.ts": ["tcp/a.ts", "stack/a.ts"],
      "publish/a.ts": ["publish/loopback/a.ts"],
      "cli/commands/a.ts": ["api/a.ts", "loop/a.ts", "netns/a.ts", "base/a.ts"],
    };
    expect(breaches(allowed)).toEqual([]);
  });

  it.each([
    ["wire/a.ts", "tcp/b.ts", "upwards"],
    ["base/a.ts", "wire/b.ts", "upwards"],
    ["tcp/a.ts", "guest/b.ts", "upwards"],
    ["wire/a.ts", "sys/b.ts", "sideways"],
    ["services/a.ts", "dns/b.ts", "sideways"],
    ["publish/loopback/a.ts", "publish/b.ts", "upwards"],
    ["daemon/workers/a.ts", "daemon/b.ts", "upwards"],
    ["api/a.ts", "cli/b.ts", "upwards"],
    ["base/a.ts", "../test/lab/lab.ts", "outside src"],
    ["wire/a.ts", "node-tuntap2", "for sys alone"],
    ["cli/a.ts", "node-tuntap2/index.cjs", "for sys alone"],
    ["sys/a.ts", "lwip-wasm", "for stack alone"],
  ])("does not allow %s → %s", (module, target, complaint) => {
    expect(breaches({ [module]: [target] })).toEqual([
      expect.stringMatching(`^${module} imports ${target}, .*${complaint}`),
    ]);
  });

  it("requires a place for every folder and file", () => {
    expect(breaches({ "utils/a.ts": [], "misc.ts": [] })).toEqual([
      "utils has no layer",
      "misc.ts has no layer",
    ]);
  });

  it("finds circles", () => {
    const circular = {
      "wire/a.ts": ["wire/b.ts"],
      "wire/b.ts": ["wire/c.ts"],
      "wire/c.ts": ["wire/b.ts"],
    };
    expect(breaches(circular)).toEqual(["circle: wire/b.ts → wire/c.ts → wire/b.ts"]);
  });
});

describe("importsOf", () => {
  it.each([
    ['import { a } from "../base/a.js";', "base/a.ts"],
    ['import type { A } from "./a.js";', "wire/a.ts"],
    ['import {\n  a,\n  type B,\n} from "../base/a.js";', "base/a.ts"],
    ['import a from "pino/browser.js";', "pino/browser.js"],
    ['import "./effects.js";', "wire/effects.ts"],
    ['export * from "../sys/a.js";', "sys/a.ts"],
    ['export type { A } from "./a.js";', "wire/a.ts"],
    ['const a = await import("../tcp/a.js");', "tcp/a.ts"],
    ['const a = require("node-tuntap2");', "node-tuntap2"],
    ['import { version } from "../../package.json";', "../package.json"],
  ])("%s", (text, target) => {
    expect(importsOf("wire/x.ts", text)).toEqual([target]);
  });

  it("takes nothing else for an import", () => {
    const text =
      'export const a = "./b.js";\nconst from = "x";\n// import "./c.js"\nlog("from", "y");\n';
    expect(importsOf("wire/x.ts", text)).toEqual([]);
  });
});
