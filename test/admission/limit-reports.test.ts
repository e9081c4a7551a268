import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LimitReports } from "../../src/admission/limit-reports.js";
import { DropCounters, DropReason } from "../../src/base/drop.js";
import { log } from "../../src/base/log.js";
import { DEFAULT_LIMITS } from "../../src/config/limits.js";

const warn = vi.spyOn(log, "warn");
let drops: DropCounters;
let reports: LimitReports;

beforeEach(() => {
  warn.mockImplementation(() => undefined);
  drops = new DropCounters();
  reports = new LimitReports(drops, { ...DEFAULT_LIMITS, flows: 4 });
});
afterEach(() => {
  warn.mockReset();
});

it("names the limit, what happens at it, and the option that raises it", () => {
  reports.report(DropReason.LimitFlows, 0);
  expect(warn.mock.calls).toEqual([
    ["more than 4 TCP connections: the longest idle are reset (--max-flows)"],
  ]);
});

it("counts every report and logs one warning per limit and minute", () => {
  for (const now of [0, 1, 59_999]) reports.report(DropReason.LimitFlows, now);
  reports.report(DropReason.LimitMappings, 59_999);
  expect(warn).toHaveBeenCalledTimes(2);
  reports.report(DropReason.LimitFlows, 60_000);
  expect(warn).toHaveBeenCalledTimes(3);
  expect(drops.get(DropReason.LimitFlows)).toBe(4);
});
