/**
 * Member to member: two namespaces on a network of Slipway's, beside two on a bridge of the kernel's
 * by veth pairs, with their offloads and without. In alternating rounds; medians are printed, and the
 * ratios that count.
 *
 *     npm run bench:members
 */
import { join, resolve } from "node:path";
import type { Launcher } from "./launch.ts";
import { Namespace } from "./namespace.ts";
import { median, ratio } from "./stats.ts";
import { HelperMeter, type Testbed } from "./testbed.ts";
import { measureBulk } from "./workloads/bulk.ts";
import { measureTransactions } from "./workloads/load.ts";
import { openWorkshop, type Workshop } from "./workshop.ts";

const SLIPWAY = resolve(import.meta.dirname, "../bin/slipway");
const SUBNET = "10.90.0.0/24";
const CLIENT = "10.90.0.10";
const SERVER = "10.90.0.11";
const MTU = 1500;
const ROUNDS = 3;
/** Seconds. */
const BULK = 3;
const LOAD = 2;

const KINDS = ["slipway", "veth", "veth without offload"] as const;
type Kind = (typeof KINDS)[number];

type Figure = "throughput" | "rate" | "p50" | "p99";
const FIGURES: readonly (readonly [figure: Figure, unit: string])[] = [
  ["throughput", "Gbit/s"],
  ["rate", "requests/s"],
  ["p50", "µs"],
  ["p99", "µs"],
];

async function main(): Promise<void> {
  const workshop = openWorkshop();
  const samples = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const kind of KINDS) {
      await using bed = await (kind === "slipway" ? onSlipway(workshop) : onBridge(workshop, kind));
      const bulk = { direction: "up", streams: 1, seconds: BULK } as const;
      const metrics = {
        ...(await measureBulk(bed, bulk)),
        ...(await measureTransactions(bed, LOAD)),
      };
      for (const [figure] of FIGURES) {
        const key = `${kind} ${figure}`;
        samples.set(key, [...(samples.get(key) ?? []), metrics[figure] ?? Number.NaN]);
      }
    }
  }
  const of = (kind: Kind, figure: Figure) => median(samples.get(`${kind} ${figure}`) ?? []);
  for (const kind of KINDS) {
    const texts = FIGURES.map(([figure, unit]) => `${of(kind, figure).toPrecision(3)} ${unit}`);
    console.log(`${kind.padEnd(22)} ${texts.join("   ")}`);
  }
  const against = (other: Kind, figure: Figure) =>
    `${ratio(of("slipway", figure), of(other, figure)).toFixed(2)} × ${other}`;
  console.log(
    `throughput ${against("veth without offload", "throughput")}, ${against("veth", "throughput")}`,
  );
  console.log(`requests ${against("veth", "rate")}`);
}

async function onSlipway({ launcher, programs, directory }: Workshop): Promise<Testbed> {
  await using scope = new AsyncDisposableStack();
  const home = join(directory, "members");
  await launcher.run(["mkdir", "-p", "-m", "0700", home]);
  const program = ["env", `XDG_RUNTIME_DIR=${home}`, `XDG_STATE_HOME=${home}`, SLIPWAY];
  const daemon = scope.use(launcher.startTimed([...program, "daemon", "run", "--ready-fd", "3"]));
  const readyMs = await daemon.ready();
  await launcher.run([...program, "network", "prune"]);
  await launcher.run([...program, "network", "create", "bench", "--subnet", SUBNET]);
  const places = [];
  for (const address of [CLIENT, SERVER]) {
    const namespace = scope.use(await Namespace.create(launcher));
    const connect = ["network", "connect", "bench", `${namespace.pid}`, "--ip", address];
    await launcher.run([...program, ...connect]);
    places.push(namespace);
  }
  const pid = Number(await launcher.run([...program, "daemon", "status", "--format", "{{.pid}}"]));
  const helper = new HelperMeter({ program: daemon, pid, readyMs });
  return bedOf(launcher, programs, places, helper, scope.move());
}

async function onBridge({ launcher, programs }: Workshop, kind: Kind): Promise<Testbed> {
  await using scope = new AsyncDisposableStack();
  const bridge = scope.use(await Namespace.create(launcher));
  await launcher.run(bridge.inside(["ip", "link", "add", "br0", "type", "bridge"]));
  await launcher.run(bridge.inside(["ip", "link", "set", "br0", "up"]));
  const places = [];
  for (const [index, address] of [CLIENT, SERVER].entries()) {
    const holder = scope.use(launcher.start(bridge.inside(["unshare", "--net", "cat"])));
    holder.send("made");
    await holder.line();
    const namespace = Namespace.ofProcess(launcher, await holder.pid());
    const offload = kind === "veth" ? "" : "tso off gso off gro off tx off rx off sg off";
    await launcher.run(
      bridge.inside(["sh", "-euc", vethOutside(index, namespace.pid, offload), "sh"]),
    );
    await launcher.run(namespace.inside(["sh", "-euc", vethInside(address, offload), "sh"]));
    places.push(namespace);
  }
  return bedOf(launcher, programs, places, null, scope.move());
}

function vethOutside(index: number, pid: number, offload: string): string {
  return `
    ip link add v${index} type veth peer name eth0 netns ${pid}
    ip link set v${index} master br0 up mtu ${MTU}
    ${offload === "" ? "" : `ethtool -K v${index} ${offload} > /dev/null 2>&1 || true`}
  `;
}

function vethInside(address: string, offload: string): string {
  return `
    ip link set lo up
    ip address add ${address}/24 dev eth0
    ${offload === "" ? "" : `ethtool -K eth0 ${offload} > /dev/null 2>&1 || true`}
    ip link set eth0 up mtu ${MTU}
  `;
}

function bedOf(
  launcher: Launcher,
  programs: Workshop["programs"],
  [client, server]: readonly Namespace[],
  helper: HelperMeter | null,
  owned: AsyncDisposableStack,
): Testbed {
  return {
    ...{ programs, helper, serverAddress: SERVER, hostAddress: SERVER },
    startOnHost: (argv) => launcher.start(server.inside(argv), argv[0]),
    startInGuest: (argv) => launcher.start(client.inside(argv), argv[0]),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

await main();
