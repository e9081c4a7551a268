import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { includesOf, readIncludes } from "./c-layers.js";
import { findCircles } from "./layers.js";

const root = fileURLToPath(new URL("..", import.meta.url));

it.each(["wasm/src"])("no units of %s include each other in a circle", (directory) => {
  const includes = readIncludes(`${root}${directory}`);
  expect(includes.size).toBeGreaterThan(0);
  expect(findCircles(includes)).toEqual([]);
});

it("wasm/README.md lists the units of wasm/src from the top down", () => {
  const readme = readFileSync(`${root}wasm/README.md`, "utf8");
  const rows = [...readme.matchAll(/^\| `([\w/-]+)` \|/gm)].map(([, unit]) => unit);
  const includes = readIncludes(`${root}wasm/src`);
  expect([...rows].sort()).toEqual([...includes.keys()].sort());
  const upwards = [...includes].flatMap(([unit, included]) =>
    included
      .filter((other) => rows.indexOf(other) < rows.indexOf(unit))
      .map((other) => `${unit} includes ${other}`),
  );
  expect(upwards).toEqual([]);
});

describe("includesOf", () => {
  const circles = (files: Record<string, string>): string[] =>
    findCircles(includesOf(new Map(Object.entries(files))));

  it("sees a circle that two sources make of headers without one", () => {
    const planted = {
      "flow.h": "",
      "flow.c": '#include "flow.h"\n#include "relay.h"\n',
      "relay.h": '#include "flow.h"\n',
      "relay.c": '#include "relay.h"\n',
    };
    expect(circles(planted)).toEqual(["circle: flow → relay → flow"]);
  });

  it("sees a circle over three units in two folders, and includes within a condition", () => {
    const planted = {
      "x/a.c": '#ifdef X\n# include "b.h"\n#endif\n',
      "x/b.h": "",
      "x/b.c": '#include "../y/c.h"\n',
      "y/c.h": '  #include "../x/a.h"\n',
      "x/a.h": "",
    };
    expect(circles(planted)).toEqual(["circle: x/a → x/b → y/c → x/a"]);
  });

  it("takes a unit's own header, a stranger's and one in a comment for none", () => {
    const files = {
      "a.h": "#include <b.h>\n",
      "a.c": '#include "a.h"\n#include "lwip/b.h"\n/* #include "b.h" */\n#include "other.h"\n',
      "b.h": '#include "a.h"\n',
    };
    expect(includesOf(new Map(Object.entries(files)))).toEqual(
      new Map([
        ["a", []],
        ["b", ["a"]],
      ]),
    );
  });
});
