import { describe, expect, it } from "vitest";
import type { MetricName } from "../../bench/metrics.ts";
import { Summary, verdicts } from "../../bench/summary.ts";
import type { Bound, Target } from "../../bench/targets.ts";
import { measured, record } from "./record.ts";

const summary = new Summary(
  record([
    measured("up", "slipway", { throughput: 12, cpuPerGigabyte: 0.4 }, 1),
    measured("up", "slipway", { throughput: 10, cpuPerGigabyte: 0.6 }, 2),
    measured("up", "slipway", { throughput: 11, cpuPerGigabyte: 0.5 }, 3),
    measured("up", "slirp4netns", { throughput: 1, cpuPerGigabyte: 9 }),
    measured("up", "pasta", { throughput: 4, cpuPerGigabyte: 0.25 }),
    measured("up", "loopback", { throughput: 22 }),
    measured("other", "slipway", { throughput: 5 }),
    { cell: "other", helper: "pasta", round: 1, outcome: { kind: "failed", reason: "why" } },
  ]),
);

describe("Summary", () => {
  it("takes median and spread over the rounds", () => {
    expect(summary.figure("up", "slipway", "throughput")).toEqual({
      median: 11,
      min: 10,
      max: 12,
      count: 3,
    });
  });

  it("knows no figure where nothing was measured or it failed", () => {
    expect(summary.figure("up", "loopback", "cpuPerGigabyte")).toBeNull();
    expect(summary.figure("other", "slirp4netns", "throughput")).toBeNull();
    expect(summary.figure("other", "pasta", "throughput")).toBeNull();
  });

  it("keeps the reason of a failure", () => {
    expect(summary.troubles("other", "pasta")).toEqual([{ kind: "failed", reason: "why" }]);
    expect(summary.troubles("up", "pasta")).toEqual([]);
  });

  it("finds the best peer by what is better, Slipway and loopback left out", () => {
    expect(summary.bestPeer("up", "throughput")).toBe(4);
    expect(summary.bestPeer("up", "cpuPerGigabyte")).toBe(0.25);
    expect(summary.bestPeer("other", "throughput")).toBeNull();
  });

  it("relates Slipway's median to another's", () => {
    expect(summary.subjectRatio("up", "throughput", 22)).toBe(0.5);
    expect(summary.subjectRatio("up", "throughput", null)).toBeNull();
  });

  it("lists loopback last", () => {
    expect(summary.contestants).toEqual(["slipway", "slirp4netns", "pasta", "loopback"]);
  });
});

describe("verdicts", () => {
  function judge(metric: MetricName, bound: Bound): [number | null, boolean | null] {
    const applies = ({ id }: { id: string }): boolean => id === "up";
    const target: Target = { title: "a target", metric, applies, bound };
    const [verdict, ...more] = verdicts(summary, [target]);
    expect(more).toEqual([]);
    return [verdict?.needed ?? null, verdict?.met ?? null];
  }

  it("asks for a multiple of one helper", () => {
    const slirp4netns = { kind: "helper", helper: "slirp4netns" } as const;
    expect(judge("throughput", { ...slirp4netns, factor: 11 })).toEqual([11, true]);
    expect(judge("throughput", { ...slirp4netns, factor: 11.5 })).toEqual([11.5, false]);
  });

  it("takes a floor for a ceiling where less is better", () => {
    expect(judge("cpuPerGigabyte", { kind: "best-peer", factor: 2 })).toEqual([0.5, true]);
    expect(judge("cpuPerGigabyte", { kind: "best-peer", factor: 1 })).toEqual([0.25, false]);
  });

  it("asks for a fixed limit", () => {
    expect(judge("throughput", { kind: "absolute", limit: 20 })).toEqual([20, false]);
  });

  it("asks for a multiple of another cell of Slipway's", () => {
    const bound = { kind: "own-cell", cell: "other", factor: 2 } as const;
    expect(judge("throughput", bound)).toEqual([10, true]);
  });

  it("does not judge without both figures", () => {
    const bound = { kind: "helper", helper: "absent", factor: 1 } as const;
    expect(judge("throughput", bound)).toEqual([null, null]);
    expect(judge("rate", { kind: "absolute", limit: 1 })).toEqual([1, null]);
  });
});
