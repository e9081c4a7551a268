/**
 * The control plane of a large cluster: its own code for 1,000 hosts and 50,000 members, in a few processes, with one
 * real etcd. Prints how long a join takes until the last host of its network has seen it, what a real daemon in that
 * cluster needs of memory, and plots the requests per second that the store gets when it is started again.
 *
 *     npm run bench:cluster -- --hosts 100 --members 5000
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { MACHINE } from "../namespace.ts";
import { startDaemon } from "../overlay-daemons.ts";
import { memory } from "../proc.ts";
import { lineChart } from "../report/lines.ts";
import { quantile } from "../stats.ts";
import { openWorkshop } from "../workshop.ts";
import { Crew } from "./crew.ts";
import { type Layout, networkName, networksOf } from "./messages.ts";
import { SimulatedStore } from "./store.ts";

const PLOT = resolve(import.meta.dirname, "../../docs/plots/store-restart.svg");
/** Members that join after all others, of each run. */
const LATE = 200;
/** How long the store is away, and how long it is watched afterwards; seconds. */
const AWAY = 10;
const WATCHED = 60;
const SAMPLE_MS = 500;
/** Time in which what was announced reaches all hosts, and garbage is collected. */
const SETTLE_MS = 5000;

function readLayout(): { layout: Layout; processes: number } {
  const { values } = parseArgs({
    options: {
      hosts: { type: "string", default: "1000" },
      members: { type: "string", default: "50000" },
      networks: { type: "string", default: "100" },
      processes: { type: "string", default: "4" },
    },
  });
  const [hosts, members, networks, processes] = [
    values.hosts,
    values.members,
    values.networks,
    values.processes,
  ].map(Number);
  const layout = { hosts, members, networks, networksPerHost: Math.min(5, networks) };
  const share = hosts / processes;
  const each = members / hosts / layout.networksPerHost;
  if (Number.isInteger(share) && Number.isInteger(each) && networks <= 250) {
    return { layout, processes };
  }
  throw new RangeError("hosts must divide among processes, members among hosts and networks");
}

function note(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function timed(what: string, work: Promise<void>): Promise<void> {
  const began = performance.now();
  await work;
  note(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

async function measureJoins(crew: Crew, layout: Layout): Promise<void> {
  const times: number[] = [];
  for (let index = 0; index < LATE; index += 1) {
    const host = Math.floor((index * layout.hosts) / LATE);
    const [network = 0] = networksOf(host, layout);
    times.push(await crew.joinLate({ name: `late-${index}`, host, network }));
  }
  const [p50, p99] = [0.5, 0.99].map((part) => quantile(times, part).toFixed(0));
  note(`a join is visible everywhere: p50 ${p50} ms, p99 ${p99} ms (target: 2,000 ms)`);
}

/**
 * Of a real daemon, with a member of one of the networks. The target is for private memory: 47 MB of the rest are Node's
 * code, which all its processes share.
 */
async function measureDaemon({ port }: SimulatedStore): Promise<void> {
  await using scope = new AsyncDisposableStack();
  const { launcher, directory } = openWorkshop();
  const options = ["--store", `etcd://127.0.0.1:${port}`, "--advertise", "127.0.0.1"];
  const daemon = await startDaemon(launcher, MACHINE, options, join(directory, "daemon"), scope);
  scope.use(await daemon.join(networkName(0), []));
  await delay(SETTLE_MS);
  const { resident, privateDirty } = memory(daemon.pid);
  const [all, own] = [resident, privateDirty ?? Number.NaN].map((it) => (it / 1e6).toFixed(1));
  note(`a daemon of that cluster: ${all} MB, ${own} MB of it private (target: 60 MB)`);
}

type Point = readonly [seconds: number, value: number];

/** Kills the store, starts it again, and counts what it is asked. */
async function measureRestart(store: SimulatedStore, crew: Crew, layout: Layout): Promise<void> {
  await store.kill();
  await delay(AWAY * 1000);
  await store.start();
  const began = performance.now();
  const rates: Point[] = [];
  const connected: Point[] = [];
  let [before, at] = [0, 0];
  while (at < WATCHED) {
    await delay(SAMPLE_MS);
    const requests = (await store.requests()) ?? before;
    const now = (performance.now() - began) / 1000;
    rates.push([now, (requests - before) / (now - at)]);
    connected.push([now, await crew.connected()]);
    [before, at] = [requests, now];
  }
  const all = connected.find(([, count]) => count === layout.hosts)?.[0];
  const most = Math.max(...rates.map(([, rate]) => rate));
  note(
    `store started again: all hosts connected after ${all?.toFixed(1) ?? `more than ${WATCHED}`} s`,
  );
  note(
    `store started again: at most ${most.toFixed(0)} requests/s, ${rates.at(-1)?.[1].toFixed(0)} at last`,
  );
  plot(layout, rates, connected);
}

function plot({ hosts, members }: Layout, rates: Point[], connected: Point[]): void {
  mkdirSync(dirname(PLOT), { recursive: true });
  const chart = {
    title: "The store is started again",
    subtitle: `${hosts} hosts, ${members} members; it was away for ${AWAY} s`,
    horizontal: "seconds since it answers",
    panels: [
      { label: "requests/s", lines: [{ name: "requests/s", points: rates }] },
      { label: "hosts connected", lines: [{ name: "hosts", points: connected }] },
    ],
  };
  writeFileSync(PLOT, lineChart(chart));
}

async function main(): Promise<void> {
  const { layout, processes } = readLayout();
  const { hosts, members, networks, networksPerHost } = layout;
  note(`${hosts} hosts, each on ${networksPerHost} of ${networks} networks; ${members} members`);
  await using store = await SimulatedStore.create();
  await using crew = await Crew.create(store.port, layout, processes);
  await timed(`${hosts} hosts join`, crew.join());
  await timed(`${networks} networks are created`, crew.createNetworks());
  await timed(`${members} members join`, crew.populate());
  await delay(SETTLE_MS);
  await measureJoins(crew, layout);
  await measureDaemon(store);
  await measureRestart(store, crew, layout);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 2;
}
