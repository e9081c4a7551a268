/** Two hosts, each a network namespace, joined by a link: the underlay of overlays. */
import type { Link } from "./cells.ts";
import { Namespace } from "./namespace.ts";
import type { Workshop } from "./workshop.ts";

export interface Host {
  readonly namespace: Namespace;
  readonly address: string;
}

/** Disposing of them ends the hosts; what runs on them is to be ended before. */
export interface Hosts extends AsyncDisposable {
  readonly a: Host;
  readonly b: Host;
}

const ADDRESSES = { a: "192.0.2.1", b: "192.0.2.2" } as const;

export async function createHosts(workshop: Workshop, link: Link | undefined): Promise<Hosts> {
  await using scope = new AsyncDisposableStack();
  const a = scope.use(await Namespace.create(workshop.launcher));
  const b = scope.use(await a.beside());
  if (link === undefined) await joinByVeth(a, b);
  else if (await hasNetem(a)) await joinByNetem(a, b, link);
  else await joinByWire(workshop, scope, a, b, link);
  await a.shell(
    `ip address add ${ADDRESSES.a}/24 dev eth0; ip link set lo up; ip link set eth0 up`,
  );
  await b.shell(
    `ip address add ${ADDRESSES.b}/24 dev eth0; ip link set lo up; ip link set eth0 up`,
  );
  const owned = scope.move();
  return {
    a: { namespace: a, address: ADDRESSES.a },
    b: { namespace: b, address: ADDRESSES.b },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function joinByVeth(a: Namespace, b: Namespace): Promise<void> {
  await a.shell(`ip link add eth0 type veth peer name eth0 netns ${b.pid}`);
}

/** Some kernels are built without it. */
async function hasNetem(namespace: Namespace): Promise<boolean> {
  try {
    await namespace.shell("tc qdisc add dev lo root netem; tc qdisc del dev lo root");
    return true;
  } catch {
    return false;
  }
}

/** A superframe would be lost as one, so there is none. The queue holds 20 ms of 10 Gbit/s. */
async function joinByNetem(a: Namespace, b: Namespace, link: Link): Promise<void> {
  await joinByVeth(a, b);
  const { delayMs, lossPercent, reorderPercent } = link;
  const reordering = reorderPercent === 0 ? "" : `reorder ${reorderPercent}%`;
  const impair = `
    ip link set eth0 gso_max_segs 1
    tc qdisc add dev eth0 root netem limit 20000 delay ${delayMs}ms loss ${lossPercent}% ${reordering}
  `;
  await a.shell(impair);
  await b.shell(impair);
}

/** Our own replacement of netem (test/lab/wire.c). Bursts wait in the queues of its TAPs. */
async function joinByWire(
  { launcher, programs }: Workshop,
  scope: AsyncDisposableStack,
  a: Namespace,
  b: Namespace,
  { delayMs, lossPercent, reorderPercent }: Link,
): Promise<void> {
  const figures = [delayMs * 1e3, lossPercent * 1e4, reorderPercent * 1e4].map((it) => `${it}`);
  const command = [programs.wire, "eth0", `/proc/${b.pid}/ns/net`, "eth0", ...figures];
  const wire = scope.use(launcher.start(a.inside(command)));
  await wire.line();
  for (const host of [a, b]) await host.shell("ip link set eth0 txqueuelen 20000");
}
