import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DropCounters, DropReason, dropReasonName } from "../../src/base/drop.js";

const reasons = Object.values(DropReason);

describe("DropReason", () => {
  it("numbers the reasons -1, -2, … without a gap", () => {
    expect([...reasons].sort((a, b) => b - a)).toEqual(reasons.map((_, index) => -1 - index));
  });

  it("has no reason that is never counted", () => {
    const root = new URL("../../src/", import.meta.url);
    const files = readdirSync(root, { recursive: true, encoding: "utf8" });
    const sources = files.filter((file) => file.endsWith(".ts") && file !== "base/drop.ts");
    const text = sources.map((file) => readFileSync(new URL(file, root), "utf8")).join("\n");
    const used = new Set([...text.matchAll(/DropReason\.(\w+)/g)].map(([, key]) => key));
    expect(Object.keys(DropReason).filter((key) => !used.has(key))).toEqual([]);
  });

  it("has a unique kebab-case name for each", () => {
    const names = reasons.map(dropReasonName);
    expect(new Set(names).size).toBe(reasons.length);
    expect(names.filter((name) => !/^[a-z]+(-[a-z]+)*$/.test(name))).toEqual([]);
  });

  it.each([
    [DropReason.UdpBadLength, "udp-bad-length"],
    [DropReason.TcpBadHeader, "tcp-bad-header"],
    [DropReason.LimitFlows, "limit-flows"],
  ])("calls %i %s", (reason, name) => {
    expect(dropReasonName(reason)).toBe(name);
  });
});

describe("DropCounters", () => {
  it("counts each reason separately and lists those that occurred", () => {
    const counters = new DropCounters();
    counters.count(DropReason.UdpBadLength);
    counters.count(DropReason.UdpBadLength);
    counters.count(DropReason.LimitMemory);
    expect(counters.get(DropReason.UdpBadLength)).toBe(2);
    expect(counters.get(DropReason.UdpTruncated)).toBe(0);
    expect(counters.entries()).toEqual([
      ["udp-bad-length", 2],
      ["limit-memory", 1],
    ]);
  });
});
