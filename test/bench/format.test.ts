import { describe, expect, it } from "vitest";
import { formatNumber, formatRatio, formatSpread, formatTable } from "../../bench/report/format.ts";

describe("formatNumber", () => {
  it.each([
    [0, "0"],
    [0.01234, "0.0123"],
    [0.5, "0.500"],
    [1.2345, "1.23"],
    [12.345, "12.3"],
    [123.45, "123"],
    [12345.6, "12,346"],
    [-2.5, "-2.50"],
    [Number.POSITIVE_INFINITY, "∞"],
  ])("%d is %s", (value, expected) => {
    expect(formatNumber(value)).toBe(expected);
  });
});

describe("formatSpread", () => {
  it("shows the extremes of several measurements", () => {
    const text = formatSpread({ median: 11.14, min: 10.8, max: 11.9, count: 3 });
    expect(text).toBe("11.1 (10.8–11.9)");
  });

  it("shows one measurement as it is", () => {
    expect(formatSpread({ median: 2, min: 2, max: 2, count: 1 })).toBe("2.00");
  });
});

describe("formatRatio", () => {
  it("has a dash for what is unknown", () => {
    expect([formatRatio(8.149), formatRatio(null)]).toEqual(["×8.15", "–"]);
  });
});

describe("formatTable", () => {
  it("aligns columns as text and as Markdown", () => {
    const table = formatTable(
      ["cell", "Gbit/s"],
      [
        ["up", "1.00"],
        ["down, long", "12.0 (9–13)"],
      ],
      ["left", "right"],
    );
    expect(table.split("\n")).toEqual([
      "| cell       |      Gbit/s |",
      "| ---------- | ----------: |",
      "| up         |        1.00 |",
      "| down, long | 12.0 (9–13) |",
    ]);
  });
});
