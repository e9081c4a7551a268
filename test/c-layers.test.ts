import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { byFolder, findUpwards, type Includes, includesOf, readIncludes } from "./c-layers.js";
import { findCircles } from "./layers.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Of the files that are built, not of those that test them. */
function readNative(): Includes {
  const includes = readIncludes(`${root}native`);
  return new Map([...includes].filter(([unit]) => /^(?:src|launcher)\//.test(unit)));
}

/** The rows of the table in a README. */
function rowsOf(readme: string): (string | undefined)[] {
  const text = readFileSync(`${root}${readme}`, "utf8");
  return [...text.matchAll(/^\| `([\w/-]+)` \|/gm)].map(([, row]) => row);
}

it.each([
  ["wasm/src", readIncludes(`${root}wasm/src`)],
  ["native", readNative()],
])("no units of %s include each other in a circle", (_, includes) => {
  expect(includes.size).toBeGreaterThan(10);
  expect(findCircles(includes)).toEqual([]);
});

it.each([
  ["wasm", "units", readIncludes(`${root}wasm/src`)],
  ["native", "folders", byFolder(readNative())],
])("%s/README.md lists the %s from the top down", (directory, _, includes) => {
  const rows = rowsOf(`${directory}/README.md`).filter((row) => row !== undefined);
  expect(rows.toSorted()).toEqual([...includes.keys()].toSorted());
  expect(findUpwards(includes, rows)).toEqual([]);
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

describe("byFolder", () => {
  const planted = includesOf(
    new Map([
      ["src/addon.c", '#include "call/call.h"\n'],
      ["src/call/call.h", ""],
      ["src/call/call.c", '#include "call.h"\n#include "../loop/limit.h"\n'],
      ["src/loop/limit.h", ""],
      ["src/loop/loop.c", '#include "../call/call.h"\n#include "limit.h"\n'],
    ]),
  );

  it("sees a circle of two folders whose files are in none", () => {
    expect(findCircles(planted)).toEqual([]);
    expect(findCircles(byFolder(planted))).toEqual(["circle: src/call → src/loop → src/call"]);
  });

  it("has an include that leads upwards named", () => {
    const order = ["src", "src/loop", "src/call"];
    expect(findUpwards(byFolder(planted), order)).toEqual(["src/call includes src/loop"]);
  });
});
