import { describe, expect, it } from "vitest";
import { allCells, congestionControls, loopbackWorkload, selectCells } from "../../bench/cells.ts";
import { PASTA_CELLS } from "../../bench/pasta/cells.ts";
import { PASTA_TARGETS } from "../../bench/pasta/targets.ts";
import { TARGETS } from "../../bench/targets.ts";

const cells = allCells(["reno", "bbr", "cubic"]);
const ids = cells.map(({ id }) => id);

describe("allCells", () => {
  it("gives every cell an id of its own", () => {
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("measures single streams with each congestion control, both ways, at both MTUs", () => {
    const singles = ids.filter((id) => /^tcp-(up|down)-(1500|65520)-(reno|bbr)$/.test(id));
    expect(singles).toHaveLength(8);
  });

  it("has the cells that targets speak of", () => {
    const idle = TARGETS.filter(({ applies }) => !cells.some(applies));
    expect(idle).toEqual([]);
    const others = TARGETS.flatMap(({ bound }) => (bound.kind === "own-cell" ? [bound.cell] : []));
    expect(ids).toEqual(expect.arrayContaining(others));
  });
});

describe("PASTA_CELLS", () => {
  it("has ids of its own, and each is in a target of Slipway's", () => {
    const own = PASTA_CELLS.map(({ id }) => id);
    expect(new Set([...own, ...ids]).size).toBe(own.length + ids.length);
    const targets = PASTA_TARGETS.filter(({ subject }) => subject === undefined);
    for (const cell of PASTA_CELLS) {
      expect(
        targets.some(({ applies }) => applies(cell)),
        cell.id,
      ).toBe(true);
    }
  });
});

describe("congestionControls", () => {
  it.each([
    [
      ["reno", "cubic", "bbr"],
      ["reno", "bbr"],
    ],
    [
      ["reno", "cubic"],
      ["reno", "cubic"],
    ],
    [["reno"], ["reno"]],
  ])("of a kernel that allows %j are %j", (allowed, expected) => {
    expect(congestionControls(allowed)).toEqual(expected);
  });
});

describe("selectCells", () => {
  it("takes ids and patterns, in the order of the list and each once", () => {
    const selected = selectCells(cells, ["rr", "flows-*", "flows-10"]);
    expect(selected.map(({ id }) => id)).toEqual(["rr", "flows-10", "flows-1000", "flows-5000"]);
  });

  it("names the word that names no cell", () => {
    expect(() => selectCells(cells, ["rr", "r."])).toThrow("no cell is named r.;");
  });
});

describe("loopbackWorkload", () => {
  it("compares a published port to one stream", () => {
    expect(loopbackWorkload({ kind: "published", streams: 1 })).toEqual({
      kind: "bulk",
      direction: "up",
      streams: 1,
    });
  });

  it("has nothing to compare a start or idleness to", () => {
    expect(loopbackWorkload({ kind: "ready", starts: 5 })).toBeNull();
    expect(loopbackWorkload({ kind: "idle" })).toBeNull();
  });
});
