/**
 * Members of a network, as a testbed: on a network of Slipway, or on a kernel bridge with veth pairs.
 */
import { join } from "node:path";
import type { Cell } from "./cells.ts";
import type { Helper } from "./helpers/helper.ts";
import { Veth } from "./helpers/veth.ts";
import type { Program } from "./launch.ts";
import { MACHINE, Namespace } from "./namespace.ts";
import { startDaemon } from "./overlay-daemons.ts";
import { HelperMeter, type Testbed } from "./testbed.ts";
import type { Workshop } from "./workshop.ts";

const SUBNET = "10.90.0.0/24";
const CLIENT = "10.90.0.10";
const SERVER = "10.90.0.11";
const FLOODER = "10.90.0.12";

/** Two members that are measured, and a third. */
export interface MembersTestbed extends Testbed {
  /** The third member sends small datagrams to the server as fast as it can. */
  startFlood(): Program;
}

/** One byte each, to a port on which nobody listens; socat does not see the refusals. */
const FLOOD = ["socat", "-u", "-b1", "OPEN:/dev/zero", `UDP4-SENDTO:${SERVER}:9`];

type Setting = Pick<Cell, "mtu" | "congestion">;

/** The client is the testbed's guest, the server takes the role of the host. */
export function createMembers(
  workshop: Workshop,
  helper: Helper,
  setting: Setting,
): Promise<MembersTestbed> {
  return helper instanceof Veth
    ? onBridge(workshop, helper, setting)
    : onSlipway(workshop, setting);
}

async function onSlipway(
  { launcher, programs, directory }: Workshop,
  { mtu, congestion }: Setting,
): Promise<MembersTestbed> {
  await using scope = new AsyncDisposableStack();
  const daemon = await startDaemon(launcher, MACHINE, [], join(directory, "members"), scope);
  await daemon.slipway(["network", "prune"]);
  const network = ["bench", "--subnet", SUBNET, "--mtu", `${mtu}`];
  await daemon.slipway(["network", "create", ...network]);
  const places = [];
  for (const address of [CLIENT, SERVER, FLOODER]) {
    const namespace = scope.use(await daemon.join("bench", ["--ip", address]));
    await namespace.setCongestionControl(congestion);
    places.push(namespace);
  }
  const helper = new HelperMeter(daemon.readyMs, [daemon.pid]);
  return bedOf(programs, places, helper, scope.move());
}

async function onBridge(
  { launcher, programs }: Workshop,
  { isOffloaded }: Veth,
  { mtu, congestion }: Setting,
): Promise<MembersTestbed> {
  await using scope = new AsyncDisposableStack();
  const bridge = scope.use(await Namespace.create(launcher));
  await bridge.shell("ip link add br0 type bridge; ip link set br0 up");
  const offload = isOffloaded ? "" : "tso off gso off gro off tx off rx off sg off";
  const places = [];
  for (const [index, address] of [CLIENT, SERVER, FLOODER].entries()) {
    const namespace = scope.use(await bridge.beside());
    await bridge.shell(vethOutside(index, namespace.pid, mtu, offload));
    await namespace.shell(vethInside(address, mtu, offload));
    await namespace.setCongestionControl(congestion);
    places.push(namespace);
  }
  return bedOf(programs, places, null, scope.move());
}

function vethOutside(index: number, pid: number, mtu: number, offload: string): string {
  return `
    ip link add v${index} type veth peer name eth0 netns ${pid}
    ip link set v${index} master br0 up mtu ${mtu}
    ${offload === "" ? "" : `ethtool -K v${index} ${offload} > /dev/null 2>&1 || true`}
  `;
}

function vethInside(address: string, mtu: number, offload: string): string {
  return `
    ip link set lo up
    ip address add ${address}/24 dev eth0
    ${offload === "" ? "" : `ethtool -K eth0 ${offload} > /dev/null 2>&1 || true`}
    ip link set eth0 up mtu ${mtu}
  `;
}

function bedOf(
  programs: Workshop["programs"],
  [client, server, flooder]: readonly Namespace[],
  helper: HelperMeter | null,
  owned: AsyncDisposableStack,
): MembersTestbed {
  return {
    programs,
    helper,
    serverAddress: SERVER,
    hostAddress: SERVER,
    startOnHost: (argv) => server.start(argv),
    startInGuest: (argv) => client.start(argv),
    startFlood: () => flooder.start(FLOOD),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
