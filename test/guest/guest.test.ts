import { afterEach, beforeEach, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import {
  ALL_PROTOCOLS,
  type GuestConfig,
  type ProtocolName,
} from "../../src/config/guest-config.js";
import type { Guest } from "../../src/guest/guest.js";
import { Errno } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { NdpType } from "../../src/wire/ndp.js";
import { VNET_HEADER_LENGTH } from "../../src/wire/vnet.js";
import {
  ethernet,
  flag,
  frame,
  icmp,
  icmpv6,
  ipv4,
  ipv6 as ipv6Packet,
  protocol,
  tcp,
  udp,
  zeros,
} from "../e2e/attacks/frames.ts";
import { COPIED, COPIED_OPEN, OWN_OPEN } from "../nat/plans.js";
import { config } from "../services/frames.js";
import { makeGuest, makeLink, openWorld } from "./link.js";

const LOOPBACK = Address.ofIpv4Word(0x7f00_0001);
const GATEWAY = "10.0.2.2";
/** To a documentation address. */
const PING = frame(ethernet.ipv4, ipv4("198.51.100.1", protocol.icmp, icmp(8, 0, zeros(12))));

let guest: Guest;
let far: number;
let tap: number;
let world: number;
let port: number;
let now: number;

beforeEach(() => {
  now = 1_000;
  ({ tap, far } = makeLink());
  ({ world, port } = openWorld());
  guest = guestOf(config({ plans: OWN_OPEN }));
});

function guestOf(settings: GuestConfig): Guest {
  return makeGuest({ fd: tap, vnetHeader: true }, settings, () => now);
}

afterEach(() => {
  guest.close();
  native.close(far);
  native.close(world);
});

/** The guest sends these frames, which are read in one batch. */
function send(...frames: readonly Uint8Array[]): void {
  for (const frame of frames) native.writeBytes(far, frame);
  now += 1;
  guest.onTap(now, false);
  guest.turn(now);
}

function sendToWorld(): void {
  send(
    udp(GATEWAY, 40_000, port, zeros(100)),
    udp(GATEWAY, 40_000, port, zeros(50)),
    udp(GATEWAY, 40_001, port, zeros(1)),
    tcp(GATEWAY, 40_002, 9, flag.syn),
  );
}

test("a guest sums the flows and figures of its engines", () => {
  sendToWorld();
  expect([...guest.flows()].map(({ protocol }) => protocol).sort()).toEqual(["tcp", "udp", "udp"]);
  expect(guest.statistics()).toMatchObject({
    flows: 1,
    tcpFlows: 1,
    mappings: 2,
    datagramsFromGuest: 3,
    datagramBytesFromGuest: 151,
    datagramsToGuest: 0,
  });
  expect([guest.descriptors, guest.endable]).toEqual([3, 3]);
});

test("the largest kind of flow gives a descriptor up", () => {
  sendToWorld();
  expect(guest.endOldest(now)).toBe(true);
  expect(guest.statistics()).toMatchObject({ tcpFlows: 1, mappings: 1 });
  expect([...guest.flows()].find(({ protocol }) => protocol === "udp")?.guest.own?.port).toBe(
    40_001,
  );
  expect(guest.drops.get(DropReason.LimitDescriptors)).toBe(1);
});

test("bytes moved are those of all frames for the gateway, each told once", () => {
  const frame = udp(GATEWAY, 40_000, port, zeros(100));
  send(frame, frame);
  expect(guest.takeMoved()).toBe(2 * frame.length);
  expect(guest.takeMoved()).toBe(0);
});

test("after a failure of the stack the flows are new, drops and published ports are kept, and datagrams go on", () => {
  const rule = guest.forwards.add({
    protocol: "tcp",
    host: LOOPBACK,
    hostPort: 0,
    guest: guest.addressFor(4),
    guestPort: 80,
  });
  expect(rule).toBeGreaterThan(0);
  sendToWorld();
  send(zeros(40));
  const drops = guest.drops.entries();
  expect(drops).not.toEqual([]);
  guest.restart();
  expect([...guest.flows()]).toEqual([]);
  expect(guest.statistics()).toMatchObject({ flows: 0, tcpFlows: 0, mappings: 0 });
  expect(guest.drops.entries()).toEqual(drops);
  expect(guest.forwards.rules.map(({ id }) => id)).toEqual([rule]);
  while (native.readBytes(world, new Uint8Array(200)) > 0);
  send(udp(GATEWAY, 40_000, port, zeros(7)));
  expect(native.readBytes(world, new Uint8Array(200))).toBe(7);
});

test.each<ProtocolName>(["tcp", "udp", "icmp"])("%s is dropped where it is not relayed", (name) => {
  guest.close();
  ({ tap, far } = makeLink());
  guest = guestOf(config({ plans: OWN_OPEN, protocols: { ...ALL_PROTOCOLS, [name]: false } }));
  send(udp(GATEWAY, 40_000, port, zeros(7)), tcp(GATEWAY, 40_001, 9, flag.syn), PING);
  expect(guest.drops.get(DropReason.PolicyProtocol)).toBe(1);
  expect(guest.statistics().tcpFlows).toBe(name === "tcp" ? 0 : 1);
  expect(native.readBytes(world, new Uint8Array(200))).toBe(name === "udp" ? -Errno.EAGAIN : 7);
});

/** The router advertisements that the guest has been sent. */
function advertisements(): { readonly from: string; readonly lifetime: number }[] {
  const sent: { from: string; lifetime: number }[] = [];
  const bytes = new Uint8Array(2_000);
  for (
    let length = native.readBytes(far, bytes);
    length > 0;
    length = native.readBytes(far, bytes)
  ) {
    const packet = Buffer.from(bytes.subarray(VNET_HEADER_LENGTH + 14, length));
    if (packet[0] >> 4 !== 6 || packet[40] !== NdpType.RouterAdvertisement) continue;
    const lifetime = packet.readUInt16BE(46);
    sent.push({ from: `${Address.read(packet, 8, 6)}`, lifetime });
  }
  return sent;
}

test("other plans count at once, flows go on, and published ports lead to the new address", () => {
  guest.close();
  ({ tap, far } = makeLink());
  guest = guestOf(config({ plans: COPIED_OPEN }));
  const rule = guest.forwards.add({
    protocol: "udp",
    host: LOOPBACK,
    hostPort: 0,
    guest: guest.addressFor(6),
    guestPort: 80,
    otherwise: guest.addressFor(4),
  });
  send(udp("192.0.2.1", 40_000, port, zeros(7)));
  expect(native.readBytes(world, new Uint8Array(200))).toBe(7);

  const [plan] = COPIED_OPEN;
  const to = plan.guest.plus(1);
  const mapped = plan.mapped.filter(({ at }) => !at.equals(plan.router));
  guest.replan([{ ...plan, guest: to, mapped }], now);

  // The guest sends as ghost, an address of no plan.
  send(udp("169.254.1.2", 40_000, port, zeros(7)));
  send(udp(`${to}`, 40_000, port, zeros(7)));
  expect(guest.drops.get(DropReason.PolicyDenied)).toBe(1);
  expect([...guest.flows()].map(({ host }) => `${host.peer?.address}`)).toEqual([
    "127.0.0.1",
    "192.0.2.10",
  ]);
  expect(guest.config.plans).toHaveLength(1);
  expect(guest.forwards.rules.map(({ id, guest: own }) => `${id} ${own}`)).toEqual([
    `${rule} 2001:db8:1::10`,
  ]);
  expect(`${guest.forwards.rules[0].otherwise}`).toBe("192.0.2.11");
});

test("a guest that was told of a network is told of another, and of the end of the former", () => {
  guest.close();
  ({ tap, far } = makeLink());
  guest = guestOf(config({ plans: COPIED }));
  const [ipv4, ipv6] = COPIED;
  const next = { ...ipv6, router: Address.ofWords(0xfe80_0000, 0, 0, 9) };
  guest.replan([ipv4, next], now);
  expect(advertisements()).toEqual([]);

  const ask = icmpv6("fe80::64", "ff02::2", NdpType.RouterSolicitation, 0, zeros(4));
  send(
    frame(
      ethernet.ipv6,
      ipv6Packet("ff02::2", protocol.icmpv6, ask, { source: "fe80::64", hopLimit: 255 }),
    ),
  );
  expect(advertisements()).toEqual([{ from: "fe80::9", lifetime: 1800 }]);
  guest.replan(COPIED, now);
  expect(advertisements()).toEqual([
    { from: "fe80::9", lifetime: 0 },
    { from: "fe80::1", lifetime: 1800 },
  ]);
  guest.replan([ipv4], now);
  expect(advertisements()).toEqual([{ from: "fe80::1", lifetime: 0 }]);
  guest.replan(COPIED, now);
  expect(advertisements()).toEqual([{ from: "fe80::1", lifetime: 1800 }]);
});
