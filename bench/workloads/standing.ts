/** What a helper uses while nothing, or nothing any more, passes through it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Metrics } from "../metrics.ts";
import type { Memory } from "../proc.ts";
import type { HelperMeter, Testbed } from "../testbed.ts";
import { runBulk } from "./bulk.ts";
import { holdingFlows } from "./load.ts";

/**
 * Until start-up work, duplicate address detection and the like are over, and a runtime that gives
 * memory back when nothing happens has done so.
 */
const SETTLE_MS = 5000;

/**
 * What there is before the flows that count: with the first, a helper's own code comes into memory (5 MB
 * of Node's, once, whether one flow follows or all).
 */
const FIRST_FLOWS = 100;

export async function measureIdle(helper: HelperMeter, seconds: number): Promise<Metrics> {
  await delay(SETTLE_MS);
  const before = helper.contextSwitches();
  await delay(seconds * 1000);
  const switches = ((helper.contextSwitches() - before) * 60) / seconds;
  return { switches, ...memoryMetrics(helper.memory()) };
}

export async function measureIdleFlows(
  bed: Testbed,
  helper: HelperMeter,
  flows: number,
): Promise<Metrics> {
  const holding = (count: number): Promise<Memory> =>
    holdingFlows(bed, count, async () => {
      await delay(SETTLE_MS);
      return helper.memory();
    });
  const before = await holding(FIRST_FLOWS);
  const after = await holding(flows);
  const memoryPerFlow = (after.resident - before.resident) / (flows - FIRST_FLOWS) / 1e3;
  return { ...memoryMetrics(after), memoryPerFlow };
}

export async function measureAfterLoad(
  bed: Testbed,
  helper: HelperMeter,
  streams: number,
  seconds: number,
): Promise<Metrics> {
  await runBulk(bed, { direction: "up", streams, seconds });
  await runBulk(bed, { direction: "down", streams, seconds });
  await delay(SETTLE_MS);
  return memoryMetrics(helper.memory());
}

function memoryMetrics({ resident, privateDirty }: Memory): Metrics {
  const rss = resident / 1e6;
  return privateDirty === null ? { rss } : { rss, privateMemory: privateDirty / 1e6 };
}
