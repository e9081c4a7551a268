/**
 * API requests beside a transfer: one stream alone, the same with 10,000 requests offered per
 * second, and the requests alone. Rounds alternate; the bench prints medians.
 *
 *     npm run bench:api
 */
import { join, resolve } from "node:path";
import * as v from "valibot";
import { GATEWAY, startTimed } from "./helpers/helper.ts";
import { Namespace } from "./namespace.ts";
import { median, ratio } from "./stats.ts";
import { HelperMeter, HOST_LOOPBACK, type Testbed } from "./testbed.ts";
import { runBulk } from "./workloads/bulk.ts";
import { openWorkshop, type Workshop } from "./workshop.ts";

const SLIPWAY = resolve(import.meta.dirname, "../bin/slirp4netns");
const ROUNDS = 3;
/** Seconds; the requests last longer than the transfer beside them. */
const BULK = 3;
const LOAD = BULK + 1;
const OFFERED = 10_000;
/** Maximum number of requests in progress. */
const DEPTH = 200;
const MTU = 1500;

const resultSchema = v.object({
  count: v.number(),
  missed: v.number(),
  failed: v.number(),
  seconds: v.number(),
  p50: v.number(),
  p99: v.number(),
});
type Requests = v.InferOutput<typeof resultSchema>;

interface Subject {
  readonly bed: Testbed;
  readonly socket: string;
}

async function main(): Promise<void> {
  const workshop = openWorkshop();
  const alone: number[] = [];
  const beside: number[] = [];
  const requestsBeside: Requests[] = [];
  const requestsAlone: Requests[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const subject = await start(workshop);
    await using _bed = subject.bed;
    alone.push(await transfer(subject));
    const [rate, requests] = await Promise.all([transfer(subject), ask(subject, LOAD)]);
    beside.push(rate);
    requestsBeside.push(requests);
    requestsAlone.push(await ask(subject, 2));
  }
  console.log(`transfer alone       ${median(alone).toFixed(2)} Gbit/s`);
  const kept = ratio(median(beside), median(alone)).toFixed(2);
  console.log(`transfer beside them ${median(beside).toFixed(2)} Gbit/s, ${kept} × alone`);
  console.log(`requests beside it   ${describe(requestsBeside)}`);
  console.log(`requests alone       ${describe(requestsAlone)}`);
}

async function start({ launcher, programs, directory }: Workshop): Promise<Subject> {
  await using scope = new AsyncDisposableStack();
  const namespace = scope.use(await Namespace.create(launcher));
  const socket = join(directory, `${namespace.pid}.sock`);
  const options = ["--configure", "--ready-fd=3", `--mtu=${MTU}`, `--api-socket=${socket}`];
  const helper = await startTimed(launcher, [SLIPWAY, ...options, `${namespace.pid}`, "tap0"]);
  scope.use(helper.program);
  const owned = scope.move();
  const bed: Testbed = {
    programs,
    helper: new HelperMeter(helper.readyMs, [helper.pid]),
    serverAddress: HOST_LOOPBACK,
    hostAddress: GATEWAY,
    startOnHost: (argv) => launcher.start(argv),
    startInGuest: (argv) => namespace.start(argv),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  return { bed, socket };
}

async function transfer({ bed }: Subject): Promise<number> {
  const { bitsPerSecond } = await runBulk(bed, { direction: "up", streams: 1, seconds: BULK });
  return bitsPerSecond / 1e9;
}

async function ask({ bed, socket }: Subject, seconds: number): Promise<Requests> {
  const numbers = [seconds, OFFERED, DEPTH].map(String);
  await using client = bed.startOnHost([bed.programs.load, "requests", socket, ...numbers]);
  return v.parse(resultSchema, JSON.parse(await client.completed((seconds + 10) * 1000)));
}

function describe(results: readonly Requests[]): string {
  const of = (figure: (it: Requests) => number) => median(results.map(figure));
  const rate = (count: number) => Math.round(count).toLocaleString("en");
  const served = rate(of(({ count, seconds }) => count / seconds));
  const missed = rate(of((it) => it.missed / it.seconds));
  const failed = results.reduce((sum, it) => sum + it.failed, 0);
  const times = `p50 ${(of((it) => it.p50) / 1000).toFixed(1)} ms, p99 ${(of((it) => it.p99) / 1000).toFixed(1)} ms`;
  return `${served} served a second, ${missed} not made as ${DEPTH} were under way, ${failed} failed; ${times}`;
}

await main();
