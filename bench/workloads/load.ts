/** Workloads of the bench's own load program (programs/load.c). */
import { setTimeout as delay } from "node:timers/promises";
import * as v from "valibot";
import type { Workload } from "../cells.ts";
import type { Transfer } from "../iperf3.ts";
import type { Program } from "../launch.ts";
import type { Metrics } from "../metrics.ts";
import { helperCost, type Testbed } from "../testbed.ts";
import { runBulk } from "./bulk.ts";

const resultSchema = v.object({
  count: v.number(),
  errors: v.number(),
  seconds: v.number(),
  p50: v.number(),
  p99: v.number(),
});

type LoadResult = v.InferOutput<typeof resultSchema>;

const GRACE_MS = 10_000;
/** Duration of the search for the highest rate of datagrams. */
const MOST_STEPS = 40;
/** Time to make 5,000 flows, one after the other, through a slow helper. */
const CONNECT_MS = 20_000;
/** Time until bulk streams have left slow start and filled the queues. */
const RAMP_UP_MS = 500;

export function measureTransactions(bed: Testbed, seconds: number): Promise<Metrics> {
  return measureLoad(bed, seconds, "transactions");
}

export function measureConnections(
  bed: Testbed,
  seconds: number,
  exchange: boolean,
): Promise<Metrics> {
  return measureLoad(bed, seconds, exchange ? "connect-byte" : "connect");
}

export function measureFlows(
  bed: Testbed,
  seconds: number,
  flows: number,
  depth: number,
): Promise<Metrics> {
  return measureLoad(bed, seconds, "flows", [flows, depth]);
}

/** One request at a time of each client on the host, to a server that runs. */
export async function measureRequests(
  bed: Testbed,
  seconds: number,
  server: { readonly address: string; readonly port: number },
  clients: number,
): Promise<Metrics> {
  const numbers = [server.port, seconds, clients, clients].map((n) => `${n}`);
  await using client = bed.startOnHost([bed.programs.load, "flows", server.address, ...numbers]);
  await client.line(CONNECT_MS);
  return await loadMetrics(bed, client, seconds);
}

/** Reports only latency: the helper's CPU time is mostly that of the bulk streams. */
export async function measureTransactionsUnderBulk(
  bed: Testbed,
  seconds: number,
  bulk: Pick<Transfer, "direction" | "streams" | "pace">,
): Promise<Metrics> {
  const transfer = { ...bulk, seconds: Math.ceil(seconds + RAMP_UP_MS / 1000) + 1 };
  const background = runBulk(bed, transfer);
  const [result] = await Promise.all([transactionsAfterRampUp(bed, seconds), background]);
  return { rate: result.count / result.seconds, p50: result.p50, p99: result.p99 };
}

async function transactionsAfterRampUp(bed: Testbed, seconds: number): Promise<LoadResult> {
  await delay(RAMP_UP_MS);
  return await withLoad(bed, "transactions", [seconds], (client) => runLoad(client, seconds));
}

/** Duration of one step of the search, as a fraction of the measurement's. */
const STEP = 0.25;

const rateSchema = v.object({ rate: v.number(), steps: v.number() });

/** The highest rate of datagrams at which all arrive. */
export async function measureDatagrams(
  bed: Testbed,
  seconds: number,
  { direction, size, segments }: Extract<Workload, { kind: "datagrams" }>,
): Promise<Metrics> {
  const details = [seconds * STEP, size, segments];
  return await withLoad(bed, `datagrams-${direction}`, details, async (client) => {
    client.send("go");
    const output = await client.completed(MOST_STEPS * seconds * STEP * 1000 + GRACE_MS);
    return { rate: v.parse(rateSchema, JSON.parse(output)).rate };
  });
}

/** Holds this many flows open, each used once, during some work. */
export function holdingFlows<T>(bed: Testbed, flows: number, work: () => Promise<T>): Promise<T> {
  return withLoad(bed, "hold", [flows], work);
}

async function measureLoad(
  bed: Testbed,
  seconds: number,
  workload: string,
  details: readonly number[] = [],
): Promise<Metrics> {
  return await withLoad(bed, workload, [seconds, ...details], async (client) => {
    return await loadMetrics(bed, client, seconds);
  });
}

async function loadMetrics(bed: Testbed, client: Program, seconds: number): Promise<Metrics> {
  const { result, seconds: cpu } = await helperCost(bed, () => runLoad(client, seconds));
  const { count, p50, p99 } = result;
  const metrics = { rate: count / result.seconds, p50, p99 };
  return cpu === null ? metrics : { ...metrics, cpuPerOperation: (cpu * 1e6) / count };
}

/** A server on the host and a client in the guest with established connections. */
async function withLoad<T>(
  bed: Testbed,
  workload: string,
  details: readonly number[],
  work: (client: Program) => Promise<T>,
): Promise<T> {
  const { load } = bed.programs;
  const serve = workload.startsWith("datagrams") ? "serve-datagrams" : "serve";
  await using server = bed.startOnHost([load, serve, bed.serverAddress]);
  const port = await server.line();
  const numbers = details.map((n) => `${n}`);
  await using client = bed.startInGuest([load, workload, bed.hostAddress, port, ...numbers]);
  await client.line(CONNECT_MS);
  return await work(client);
}

async function runLoad(client: Program, seconds: number): Promise<LoadResult> {
  client.send("go");
  const output = await client.completed(seconds * 1000 + GRACE_MS);
  const result = v.parse(resultSchema, JSON.parse(output));
  if (result.count > 0 && result.errors === 0) return result;
  throw new Error(`load: ${result.errors} of ${result.count + result.errors} operations failed`);
}
