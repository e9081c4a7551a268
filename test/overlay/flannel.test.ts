import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatMac } from "../../src/base/mac.js";
import { Loop } from "../../src/loop/loop.js";
import {
  endStage,
  Host,
  type Member,
  makeUnderlay,
  NETWORK,
  type Place,
  UNDERLAY,
} from "./stage.js";
import { expectTraffic } from "./traffic.js";

const PORT = 8472;
const VNI = 1;
const MTU = 1450;
const [HERE, THERE] = UNDERLAY[4];

/** VtepMAC of each host. */
const MACS = [0x0200_0000_0001, 0x0200_0000_0002] as const;
/** Subnet of each host, without its last byte. */
const SUBNETS = ["10.5.1", "10.5.2"] as const;

const loop = new Loop();

beforeAll(() => loop.start());
afterAll(() => {
  loop.stop();
  endStage();
});

function member(name: string, host: 0 | 1, number: number): Member {
  return { name, addresses: [`${SUBNETS[host]}.${number}`], mac: 0x0242_0a05_0100 + number };
}

/** A host with its subnet, that knows of the other. */
async function open(place: Place, self: 0 | 1): Promise<Host> {
  const host = new Host(loop, place);
  const flannel = { kind: "flannel", vni: VNI, port: PORT, vtepMac: MACS[self] } as const;
  await host.openFlannel(flannel, SUBNETS[self], UNDERLAY[4][self], MTU);
  const other = self === 0 ? 1 : 0;
  host.learn("route", {
    kind: "route",
    network: NETWORK,
    subnet: `${SUBNETS[other]}.0/24`,
    address: UNDERLAY[4][other],
    vtepMac: MACS[other],
  });
  return host;
}

/** A host as flanneld sets it up, with a pod that the CNI plugin `bridge` has given an address. @returns the pod */
async function flanneld(place: Place, address: string): Promise<Place> {
  await place.shell(`
    ethtool -K eth0 tx off >/dev/null
    sysctl -qw net.ipv4.ip_forward=1
    ip link add flannel.1 type vxlan id ${VNI} dev eth0 local ${THERE} dstport ${PORT} nolearning
    ip link set flannel.1 address ${formatMac(MACS[1])} mtu ${MTU} up
    ip addr add ${SUBNETS[1]}.0/32 dev flannel.1
    ip neigh replace ${SUBNETS[0]}.0 lladdr ${formatMac(MACS[0])} dev flannel.1 nud permanent
    bridge fdb replace ${formatMac(MACS[0])} dev flannel.1 dst ${HERE}
    ip route replace ${SUBNETS[0]}.0/24 via ${SUBNETS[0]}.0 dev flannel.1 onlink
    ip link add cni0 mtu ${MTU} type bridge
    ip addr add ${SUBNETS[1]}.1/24 dev cni0
    ip link set cni0 up`);
  const pod = await place.beside();
  await place.shell(`
    ip link add veth0 mtu ${MTU} type veth peer name eth0 mtu ${MTU} netns ${pod.pid}
    ip link set veth0 master cni0 up`);
  await pod.shell(`
    ip addr add ${address}/24 dev eth0
    ip link set eth0 up
    ip route add default via ${SUBNETS[1]}.1`);
  return pod;
}

describe("a host as flanneld sets it up", () => {
  const near = member("near", 0, 7);
  let host: Host;
  let peer: Place;
  let inside: Place;
  let pod: Place;

  beforeAll(async () => {
    const underlay = await makeUnderlay();
    peer = underlay[1];
    host = await open(underlay[0], 0);
    inside = await host.join(near, MTU);
    pod = await flanneld(peer, `${SUBNETS[1]}.9`);
  });

  test("pods reach members, and are reached", async () => {
    await expectTraffic(inside, pod, [`${SUBNETS[1]}.9`]);
    await expectTraffic(pod, inside, near.addresses);
    expect(await host.drops()).toEqual({});
  });

  test("the host itself reaches members, and is reached", async () => {
    await peer.shell(`ping -c 1 -W 5 ${near.addresses[0]}`);
    await inside.shell(`ping -c 1 -W 5 ${SUBNETS[1]}.1`);
  });

  test("each host is a hop", async () => {
    const ttl = async (place: Place, target: string): Promise<number> => {
      const text = await place.shell(`ping -c 1 -W 5 ${target}`);
      return Number(/ttl=(\d+)/.exec(text)?.[1]);
    };
    // The reply of a Linux begins with 64, and is routed by its own host and by the other.
    expect(await ttl(inside, `${SUBNETS[1]}.9`)).toBe(62);
    expect(await ttl(pod, near.addresses[0])).toBe(62);
  });

  test("a source of another subnet is not believed", async () => {
    await peer.shell(`
      ip addr add 10.5.9.9/32 dev lo
      ping -c 1 -W 1 -I 10.5.9.9 ${near.addresses[0]} || true`);
    expect(await host.drops()).toMatchObject({ "tunnel-spoofed": 1 });
  });
});

describe("two hosts", () => {
  const [near, far] = [member("near", 0, 7), member("far", 1, 9)];
  let hosts: readonly [Host, Host];
  let places: readonly [Place, Place];

  beforeAll(async () => {
    const underlay = await makeUnderlay();
    hosts = [await open(underlay[0], 0), await open(underlay[1], 1)];
    places = [await hosts[0].join(near, MTU), await hosts[1].join(far, MTU)];
  });

  test("members reach each other", async () => {
    await expectTraffic(places[0], places[1], far.addresses);
    expect(await hosts[0].drops()).toEqual({});
    expect(await hosts[1].drops()).toEqual({});
  });

  test("what is for nobody's subnet is for the gateway", async () => {
    await places[0].shell("ping -c 1 -W 1 10.5.77.1 || true");
    expect(await hosts[1].drops()).toEqual({});
  });
});
