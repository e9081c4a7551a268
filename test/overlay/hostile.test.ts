import { afterAll, beforeAll, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { BROADCAST_MAC, linkLocalOf, type Mac } from "../../src/base/mac.js";
import { Loop } from "../../src/loop/loop.js";
import { parseAddress } from "../../src/network/plans.js";
import { ARP_LENGTH, ArpOperation, emitArp } from "../../src/wire/arp.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../../src/wire/ethernet.js";
import { emitIp, IPV4_HEADER_LENGTH } from "../../src/wire/ip.js";
import { composeNdpFrame, emitNeighbor, NdpType, neighborLength } from "../../src/wire/ndp.js";
import { endStage, Host, type Member, makeUnderlay, member, type Place, VNI } from "./stage.js";

const PORT = 4789;
const HERE = "192.0.2.1";
const OTHER = "192.0.2.2";
const NOBODY = "192.0.2.3";
/** Of the gateway 10.101.0.1, as docker and Slipway make it. */
const GATEWAY = "10.101.0.1";

const loop = new Loop();
const [near, far, third] = [member("near", 2), member("far", 3), member("third", 4)];
let host: Host;
let inside: Place;
let underlay: readonly [Place, Place];

beforeAll(async () => {
  loop.start();
  underlay = await makeUnderlay();
  await underlay[1].shell(`ip addr add ${NOBODY}/24 dev eth0`);
  host = new Host(loop, underlay[0]);
  await host.open({ kind: "vxlan", vni: VNI }, HERE, PORT, 1450);
  host.learnHost("other", OTHER, PORT);
  host.learnHost("third", "192.0.2.4", PORT);
  host.learnRemote(far, { kind: "host", host: "other" });
  host.learnRemote(third, { kind: "host", host: "third" });
  inside = await host.join(near, 1450);
});

afterAll(() => {
  loop.stop();
  endStage();
});

/** Sends a datagram from the second host to the first one's VXLAN port. */
async function send(source: string, datagram: Uint8Array): Promise<void> {
  await underlay[1].shell(`python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("${source}", 0))
s.sendto(bytes.fromhex("${Buffer.from(datagram).toString("hex")}"), ("${HERE}", ${PORT}))'`);
}

function vxlan(frame: Uint8Array, vni = VNI): Uint8Array {
  return Buffer.concat([Buffer.from([8, 0, 0, 0, 0, 0, vni, 0]), frame]);
}

/** A packet of an unknown protocol, which nobody answers. */
function packet(mac: Mac, source: string, to: Member = near): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER_LENGTH + IPV4_HEADER_LENGTH + 8);
  emitEthernet(frame, 0, to.mac, mac, EtherType.Ipv4);
  const [from, destination] = [source, to.addresses[0]].map(parseAddress);
  const fields = { source: from, destination, protocol: 253, hopLimit: 64, trafficClass: 0 };
  emitIp(frame, ETHERNET_HEADER_LENGTH, fields, 8);
  return frame;
}

/** An ARP answer to all, which says where an address is. */
function arp(mac: Mac, address: string): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER_LENGTH + ARP_LENGTH);
  emitEthernet(frame, 0, BROADCAST_MAC, mac, EtherType.Arp);
  emitArp(frame, ETHERNET_HEADER_LENGTH, {
    operation: ArpOperation.Reply,
    senderMac: mac,
    senderAddress: parseAddress(address),
    targetMac: BROADCAST_MAC,
    targetAddress: parseAddress(near.addresses[0]),
  });
  return frame;
}

function advertisement(mac: Mac, target: string): Uint8Array {
  const message = {
    type: NdpType.NeighborAdvertisement,
    flags: 0,
    target: parseAddress(target),
    mac,
  };
  const bytes = new Uint8Array(neighborLength(message));
  emitNeighbor(bytes, 0, message);
  return composeNdpFrame(linkLocalOf(mac), mac, parseAddress(near.addresses[1]), near.mac, bytes);
}

function routerAdvertisement(mac: Mac): Uint8Array {
  const bytes = Uint8Array.of(
    NdpType.RouterAdvertisement,
    0,
    0,
    0,
    64,
    0,
    7,
    8,
    ...Buffer.alloc(8),
  );
  const allNodes = Address.ofWords(0xff02_0000, 0, 0, 1);
  return composeNdpFrame(linkLocalOf(mac), mac, allNodes, 0x3333_0000_0001, bytes);
}

async function dropsOf(source: string, datagram: Uint8Array): Promise<Record<string, number>> {
  const before = await host.drops();
  await send(source, datagram);
  let gained: Record<string, number> = {};
  await expect
    .poll(async () => {
      const entries = Object.entries(await host.drops());
      gained = Object.fromEntries(
        entries
          .map(([reason, count]): [string, number] => [reason, count - (before[reason] ?? 0)])
          .filter(([, count]) => count > 0),
      );
      return gained;
    })
    .not.toEqual({});
  return gained;
}

test.each<[string, string, string, () => Uint8Array]>([
  ["of nobody", NOBODY, "tunnel-unknown-host", () => vxlan(packet(far.mac, far.addresses[0]))],
  [
    "of a member elsewhere",
    OTHER,
    "tunnel-spoofed",
    () => vxlan(packet(third.mac, third.addresses[0])),
  ],
  [
    "of a member of this host",
    OTHER,
    "tunnel-spoofed",
    () => vxlan(packet(near.mac, near.addresses[0])),
  ],
  [
    "of a MAC that nobody has",
    OTHER,
    "tunnel-spoofed",
    () => vxlan(packet(0x0242_0000_0001, far.addresses[0])),
  ],
  [
    "with another's address",
    OTHER,
    "tunnel-spoofed",
    () => vxlan(packet(far.mac, third.addresses[0])),
  ],
  ["with the gateway's address", OTHER, "tunnel-spoofed", () => vxlan(packet(far.mac, GATEWAY))],
  [
    "that says by ARP where another is",
    OTHER,
    "tunnel-spoofed",
    () => vxlan(arp(far.mac, third.addresses[0])),
  ],
  [
    "that says by ARP where the gateway is",
    OTHER,
    "tunnel-spoofed",
    () => vxlan(arp(far.mac, GATEWAY)),
  ],
  [
    "that says by NDP where another is",
    OTHER,
    "tunnel-spoofed",
    () => vxlan(advertisement(far.mac, third.addresses[1])),
  ],
  ["of a router", OTHER, "tunnel-spoofed", () => vxlan(routerAdvertisement(far.mac))],
  ["without a VNI", OTHER, "tunnel-malformed", () => Buffer.alloc(60)],
  ["shorter than its header", OTHER, "tunnel-malformed", () => Buffer.from([8, 0, 0])],
  [
    "cut off",
    OTHER,
    "tunnel-malformed",
    () => vxlan(packet(far.mac, far.addresses[0]).subarray(0, 30)),
  ],
  [
    "of a network that is not here",
    OTHER,
    "ethernet-not-for-us",
    () => vxlan(packet(far.mac, far.addresses[0]), 43),
  ],
  [
    "for nobody here",
    OTHER,
    "ethernet-not-for-us",
    () => vxlan(packet(far.mac, far.addresses[0], third)),
  ],
])("a datagram %s is dropped and counted", async (_, source, reason, make) => {
  expect(await dropsOf(source, make())).toEqual({ [reason]: 1 });
});

test("nothing of that reached the member, and what is true does", async () => {
  const receiver = inside.spawn([
    ...["python3", "-uc"],
    `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
print("ready")
print(s.recvfrom(100)[1][0])`,
  ]);
  let seen = "";
  receiver.stdout?.on("data", (data: Buffer) => {
    seen += data.toString();
  });
  await expect.poll(() => seen).toBe("ready\n");
  await send(OTHER, vxlan(packet(third.mac, third.addresses[0])));
  await send(OTHER, vxlan(packet(far.mac, far.addresses[0])));
  await expect.poll(() => seen).toBe(`ready\n${far.addresses[0]}\n`);
});

test("a member learns of those elsewhere from the store, and no question crosses the tunnel", async () => {
  const before = await host.call("tunnel statistics", null);
  // Nobody answers at that host.
  await expect(inside.shell(`ping -c1 -W0.3 ${far.addresses[0]}`)).rejects.toThrow();
  await expect(inside.shell(`ping -c1 -W0.3 ${far.addresses[1]}`)).rejects.toThrow();
  await expect(inside.shell(`ping -c1 -W0.3 ${linkLocalOf(far.mac)}%eth0`)).rejects.toThrow();
  const neighbors = await inside.shell("ip neigh");
  for (const address of [...far.addresses, `${linkLocalOf(far.mac)}`])
    expect(neighbors).toMatch(`${address} dev eth0 lladdr 02:42:0a:65:00:03`);
  const after = await host.call("tunnel statistics", null);
  const crossed = (after?.counters.framesOut ?? 0) - (before?.counters.framesOut ?? 0);
  expect(crossed).toBeGreaterThanOrEqual(3);
});
