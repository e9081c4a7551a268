/** Resource use of a helper without traffic, or after it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Metrics } from "../metrics.ts";
import type { Memory } from "../proc.ts";
import type { HelperMeter, Testbed } from "../testbed.ts";
import { runBulk } from "./bulk.ts";
import { holdingFlows } from "./load.ts";

/**
 * Time until start-up work, duplicate address detection and the like are over, and a runtime that returns
 * memory when idle has done so.
 */
export const SETTLE_MS = 5000;

/**
 * Flows before those that count: the first ones bring a helper's own code into memory (5 MB
 * of Node's, once, however many follow).
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
