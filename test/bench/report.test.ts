import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BENCH, PASTA, replaceGenerated } from "../../bench/report/docs.ts";
import { axisTicks, barChart } from "../../bench/report/plot.ts";
import { reportText } from "../../bench/report/text.ts";
import { Summary } from "../../bench/summary.ts";
import { measured, record } from "./record.ts";

describe("reportText", () => {
  const text = reportText(
    new Summary(
      record([
        measured("rr", "slipway", { rate: 12_000 }, 1),
        measured("rr", "slipway", { rate: 10_000 }, 2),
        measured("rr", "slirp4netns", { rate: 8000 }),
        measured("rr", "loopback", { rate: 22_000 }),
        {
          cell: "rr",
          helper: "pasta",
          round: 1,
          outcome: { kind: "unavailable", reason: "cannot" },
        },
        measured("connect", "pasta", { rate: 1 }),
      ]),
    ),
    2,
  );

  it("shows medians, spread and ratios", () => {
    const row = text.split("\n").find((line) => line.startsWith("| title of rr"));
    const columns = row?.split("|").map((column) => column.trim());
    expect(columns?.slice(2, -1)).toEqual([
      "11,000 (10,000–12,000)",
      "8,000",
      "unavailable",
      "22,000",
      "×1.38",
      "×0.500",
    ]);
  });

  it("judges the targets that the cells have", () => {
    expect(text).toMatch(/✓ met +\| request\/response +\| rr .*×1\.00 slirp4netns/);
  });

  it("says why something is missing", () => {
    expect(text).toContain("- rr, pasta: unavailable (1 times): cannot");
  });

  it("says where it was measured", () => {
    expect(text).toContain("2 × Z80");
    expect(text).toContain("Linux 6.18.0-test");
  });
});

describe("barChart", () => {
  const figure = (median: number) => ({ median, min: median, max: median, count: 1 });
  const svg = barChart(
    {
      title: "a < b & c",
      subtitle: "",
      series: ["one", "two"],
      groups: [
        {
          label: "group",
          bars: [
            { series: "one", figure: figure(10) },
            { series: "two", figure: figure(5) },
          ],
        },
      ],
    },
    "two",
  );

  it("draws bars in proportion", () => {
    const widths = [...svg.matchAll(/class="s\d" x="[\d.]+" y="[\d.]+" width="([\d.]+)"/g)]
      .map((match) => Number(match[1]))
      .filter((width) => width !== 11); // the legend's squares
    expect(widths).toHaveLength(2);
    expect(widths[0]).toBeCloseTo(2 * (widths[1] ?? 0), 0);
  });

  it("escapes its texts", () => {
    expect(svg).toContain("a &lt; b &amp; c");
    expect(svg).not.toContain("a < b");
  });

  it("has colours for dark pages", () => {
    expect(svg).toContain("prefers-color-scheme:dark");
  });
});

describe("axisTicks", () => {
  it("rises in even, round steps from 0 towards the value", () => {
    expect(axisTicks(29.3)).toEqual([0, 5, 10, 15, 20, 25]);
    expect(axisTicks(0)).toEqual([0]);
  });

  it("gives a readable number of them for any value", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (value) => {
        const ticks = axisTicks(value);
        expect(ticks.length).toBeGreaterThanOrEqual(4);
        expect(ticks.length).toBeLessThanOrEqual(10);
        expect(ticks.at(-1)).toBeLessThanOrEqual(value * (1 + 1e-9));
      }),
    );
  });
});

describe("replaceGenerated", () => {
  const begin = "<!-- bench:begin, written by npm run bench -- --docs -->";
  const text = `before\n${begin}\nold\n<!-- bench:end -->\nafter\n`;

  it("replaces what stands between the markers and nothing else", () => {
    const once = replaceGenerated(text, "new", BENCH);
    expect(once).toBe(`before\n${begin}\n\nnew\n<!-- bench:end -->\nafter\n`);
    expect(replaceGenerated(once, "new", BENCH)).toBe(once);
  });

  it("leaves the part of another command as it is", () => {
    const both = `${PASTA.begin}\nhers\n${PASTA.end}\n${text}`;
    expect(replaceGenerated(both, "new", BENCH)).toContain(`${PASTA.begin}\nhers\n${PASTA.end}\n`);
    expect(replaceGenerated(both, "new", PASTA)).toContain(text);
  });

  it("refuses a document without them", () => {
    expect(() => replaceGenerated("nothing", "new", BENCH)).toThrow(RangeError);
  });
});
