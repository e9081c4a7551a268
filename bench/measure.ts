/** One measurement: a cell's workload through one helper, in a fresh namespace. */
import type { Cell, LoopbackWorkload, MembersLoad, OverlayWorkload, Workload } from "./cells.ts";
import type { Durations } from "./durations.ts";
import type { Helper } from "./helpers/helper.ts";
import { createMembers } from "./members.ts";
import type { Metrics } from "./metrics.ts";
import { createOverlay } from "./overlay.ts";
import { measurePasta } from "./pasta/measure.ts";
import { median } from "./stats.ts";
import {
  createTestbed,
  freePort,
  type HelperMeter,
  loopbackTestbed,
  type Setting,
  type Testbed,
} from "./testbed.ts";
import { measureBulk, measurePublished } from "./workloads/bulk.ts";
import { measureJoins } from "./workloads/joins.ts";
import {
  measureConnections,
  measureDatagrams,
  measureFlows,
  measureTransactions,
  measureTransactionsUnderBulk,
} from "./workloads/load.ts";
import { measureAfterLoad, measureIdle, measureIdleFlows } from "./workloads/standing.ts";
import type { Workshop } from "./workshop.ts";

/** The port of the server in the guest; the namespace is fresh, so any will do. */
const GUEST_PORT = 5201;

const STREAM = { direction: "up", streams: 1 } as const;

/**
 * @throws NotAvailable if the helper lacks what the cell needs.
 * @throws Error if the measurement fails.
 */
export async function measureHelper(
  workshop: Workshop,
  helper: Helper,
  cell: Cell,
  durations: Durations,
): Promise<Metrics> {
  const { mtu, congestion, workload } = cell;
  const setting = { mtu, congestion, publish: null };
  if (workload.kind === "ready") {
    return await measureReady(workshop, helper, setting, workload.starts);
  }
  if (workload.kind === "members") {
    return await measureMembers(workshop, helper, cell, workload.load, durations);
  }
  if (workload.kind === "overlay") {
    return await measureOverlay(workshop, helper, cell, workload, durations);
  }
  if (workload.kind === "pasta") {
    return await measurePasta(workshop, helper, cell, workload.load, durations);
  }
  if (workload.kind === "published") {
    const publish = { hostPort: await freePort(), guestPort: GUEST_PORT };
    await using bed = await createTestbed(workshop, helper, { ...setting, publish });
    const transfer = {
      direction: "up",
      streams: workload.streams,
      seconds: durations.bulk,
    } as const;
    return await measurePublished(bed, publish, transfer);
  }
  await using bed = await createTestbed(workshop, helper, setting);
  return await measureIn(bed, workload, durations);
}

/** The same load over the host's loopback, with nothing in between. */
export async function measureLoopback(
  workshop: Workshop,
  workload: LoopbackWorkload,
  durations: Durations,
): Promise<Metrics> {
  return await measureIn(loopbackTestbed(workshop), workload, durations);
}

async function measureMembers(
  workshop: Workshop,
  helper: Helper,
  cell: Cell,
  load: MembersLoad,
  durations: Durations,
): Promise<Metrics> {
  await using bed = await createMembers(workshop, helper, cell);
  if (load === "bulk") return await measureBulk(bed, { ...STREAM, seconds: durations.bulk });
  if (load === "transactions") return await measureTransactions(bed, durations.load);
  await using _flood = bed.startFlood();
  return await measureTransactions(bed, durations.load);
}

/** Of a stream over a link that delays: it needs seconds to find its rate. */
const LINK_BULK = 10;

async function measureOverlay(
  workshop: Workshop,
  helper: Helper,
  cell: Cell,
  workload: OverlayWorkload,
  durations: Durations,
): Promise<Metrics> {
  const { load, link } = workload;
  await using bed = await createOverlay(workshop, helper, cell, workload);
  switch (load.kind) {
    case "bulk": {
      const seconds = link === undefined ? durations.bulk : Math.max(LINK_BULK, durations.bulk);
      return await measureBulk(bed, { ...STREAM, seconds });
    }
    case "transactions":
      return await measureTransactions(bed, durations.load);
    case "datagrams":
      return await measureDatagrams(bed, durations.load, {
        ...load,
        direction: "up",
      });
    case "joins":
      return await measureJoins(bed, load.joins);
  }
}

async function measureReady(
  workshop: Workshop,
  helper: Helper,
  setting: Setting,
  starts: number,
): Promise<Metrics> {
  const times: number[] = [];
  for (let i = 0; i < starts; i++) {
    await using bed = await createTestbed(workshop, helper, setting);
    times.push(meterOf(bed).readyMs);
  }
  return { ready: median(times) };
}

/** Workloads that need only an ordinary testbed. */
type PlainWorkload = Exclude<
  Workload,
  { kind: "ready" | "published" | "members" | "overlay" | "pasta" }
>;

function measureIn(bed: Testbed, workload: PlainWorkload, durations: Durations): Promise<Metrics> {
  switch (workload.kind) {
    case "bulk":
      return measureBulk(bed, { ...workload, seconds: durations.bulk });
    case "transactions":
      return measureTransactions(bed, durations.load);
    case "transactions-under-bulk":
      return measureTransactionsUnderBulk(bed, durations.load, workload);
    case "connections":
      return measureConnections(bed, durations.load, workload.exchange);
    case "flows":
      return measureFlows(bed, durations.load, workload.flows, workload.depth);
    case "datagrams":
      return measureDatagrams(bed, durations.load, workload);
    case "idle":
      return measureIdle(meterOf(bed), durations.idle);
    case "idle-flows":
      return measureIdleFlows(bed, meterOf(bed), workload.flows);
    case "after-load":
      return measureAfterLoad(bed, meterOf(bed), workload.streams, durations.bulk);
  }
}

function meterOf({ helper }: Testbed): HelperMeter {
  if (helper === null) throw new Error("loopback has no helper to measure");
  return helper;
}
