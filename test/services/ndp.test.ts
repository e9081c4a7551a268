import { describe, expect, it } from "vitest";
import type { Address } from "../../src/base/address.js";
import { NEVER } from "../../src/base/clock.js";
import { DropReason } from "../../src/base/drop.js";
import type { Mac } from "../../src/base/mac.js";
import type { GuestConfig } from "../../src/config/guest-config.js";
import { servicesFor } from "../../src/services/index.js";
import { EtherType, emitEthernet } from "../../src/wire/ethernet.js";
import type { Frame } from "../../src/wire/frame.js";
import { icmpChecksumIsRight, writeIcmpChecksum } from "../../src/wire/icmp.js";
import { emitIp, IpProtocol } from "../../src/wire/ip.js";
import {
  emitNeighbor,
  NdpType,
  NeighborFlags,
  neighborLength,
  parseNeighbor,
} from "../../src/wire/ndp.js";
import { address } from "../base/addresses.js";
import { parseOk } from "../wire/parsing.js";
import {
  config,
  decide,
  dnsConfig,
  GATEWAY_MAC,
  GUEST_MAC,
  PLAN4,
  PLAN6,
  replied,
} from "./frames.js";

const GUEST_LINK_LOCAL = address("fe80::64");
const UNSPECIFIED = address("::");
const ALL_NODES = address("ff02::1");
const ALL_NODES_MAC = 0x33_33_00_00_00_01;
const ALL_ROUTERS = address("ff02::2");
const SOLICITED_NODE = address("ff02::1:ff00:2");

interface Packet {
  readonly source?: Address;
  readonly destination?: Address;
  readonly hopLimit?: number;
}

/** A frame with an ICMPv6 message from the guest. */
function icmp(message: Uint8Array, packet: Packet = {}): Frame {
  const { source = GUEST_LINK_LOCAL, destination = SOLICITED_NODE, hopLimit = 255 } = packet;
  const bytes = new Uint8Array(54 + message.length);
  emitEthernet(bytes, 0, 0x33_33_ff_00_00_02, GUEST_MAC, EtherType.Ipv6);
  const fields = { source, destination, protocol: IpProtocol.Icmpv6, hopLimit, trafficClass: 0 };
  emitIp(bytes, 14, fields, message.length);
  bytes.set(message, 54);
  writeIcmpChecksum(bytes, 54, message.length, source, destination);
  return parseOk(bytes);
}

function solicitation(target: Address, mac: Mac | null = GUEST_MAC): Uint8Array {
  const message = { type: NdpType.NeighborSolicitation, flags: 0, target, mac };
  const bytes = new Uint8Array(neighborLength(message));
  emitNeighbor(bytes, 0, message);
  return bytes;
}

const ROUTER_SOLICITATION = Uint8Array.from(
  Buffer.from("8500000000000000" + "0101020000000064", "hex"),
);

describe("neighbor solicitations", () => {
  it.each([PLAN6.gateway, PLAN6.router, PLAN6.dns])("for %s are answered by unicast", (target) => {
    const reply = replied(decide(icmp(solicitation(target)), config()));
    expect(reply).toMatchObject({
      source: target,
      destination: GUEST_LINK_LOCAL,
      sourceMac: GATEWAY_MAC,
      destinationMac: GUEST_MAC,
      hopLimit: 255,
    });
    expect(icmpChecksumIsRight(reply.bytes, reply)).toBe(true);
    expect(parseNeighbor(reply.bytes, reply.transportOffset, reply.transportLength)).toEqual({
      type: NdpType.NeighborAdvertisement,
      flags: NeighborFlags.Router + NeighborFlags.Solicited + NeighborFlags.Override,
      target,
      mac: GATEWAY_MAC,
    });
  });

  it("that look for duplicates of our addresses are answered by multicast", () => {
    const probe = icmp(solicitation(PLAN6.gateway, null), { source: UNSPECIFIED });
    const reply = replied(decide(probe, config()));
    expect(reply).toMatchObject({ destination: ALL_NODES, destinationMac: ALL_NODES_MAC });
    const answer = parseNeighbor(reply.bytes, reply.transportOffset, reply.transportLength);
    expect(answer?.flags).toBe(NeighborFlags.Router + NeighborFlags.Override);
  });

  it.each([
    ["the guest's configured address", PLAN6.guest],
    ["an address it made", address("fd00::5054:ff:fe00:64")],
    ["its link-local address", GUEST_LINK_LOCAL],
  ])("that look for duplicates of %s stay unanswered", (_, target) => {
    const destination = address("ff02::1:ff00:64");
    const probe = icmp(solicitation(target, null), { source: UNSPECIFIED, destination });
    expect(decide(probe, config())).toEqual({ kind: "drop", reason: DropReason.NdpNotForUs });
  });

  it.each([
    ["from beyond the link", icmp(solicitation(PLAN6.gateway), { hopLimit: 254 })],
    ["damaged", icmp(solicitation(PLAN6.gateway)).bytes.with(80, 1)],
    ["from nobody with a MAC", icmp(solicitation(PLAN6.gateway), { source: UNSPECIFIED })],
    [
      "from nobody to one",
      icmp(solicitation(PLAN6.gateway, null), {
        source: UNSPECIFIED,
        destination: PLAN6.gateway,
      }),
    ],
  ])("%s are dropped", (_, message) => {
    const frame = message instanceof Uint8Array ? parseOk(message) : message;
    expect(decide(frame, config())).toEqual({ kind: "drop", reason: DropReason.NdpMalformed });
  });
});

describe("router solicitations", () => {
  function advertised(frame: Frame, guest: GuestConfig = config()): Frame {
    const reply = replied(decide(frame, guest));
    expect(reply).toMatchObject({ source: PLAN6.router, sourceMac: GATEWAY_MAC, hopLimit: 255 });
    expect(reply.icmpType).toBe(NdpType.RouterAdvertisement);
    expect(icmpChecksumIsRight(reply.bytes, reply)).toBe(true);
    return reply;
  }

  it("are answered at once by unicast", () => {
    const reply = advertised(icmp(ROUTER_SOLICITATION, { destination: ALL_ROUTERS }));
    expect(reply).toMatchObject({ destination: GUEST_LINK_LOCAL, destinationMac: GUEST_MAC });
  });

  it("of a guest without an address are answered by multicast", () => {
    const packet = { source: UNSPECIFIED, destination: ALL_ROUTERS };
    const reply = advertised(icmp(ROUTER_SOLICITATION.slice(0, 8), packet));
    expect(reply).toMatchObject({ destination: ALL_NODES, destinationMac: ALL_NODES_MAC });
  });

  it("get the DNS server and domains only if there are any", () => {
    const ask = icmp(ROUTER_SOLICITATION, { destination: ALL_ROUTERS });
    const length = (guest: GuestConfig) => advertised(ask, guest).transportLength;
    const bare = length(config({ dns: null }));
    expect(length(config())).toBe(bare + 24);
    const dns = dnsConfig({ search: ["example.org"] });
    expect(length(config({ dns }))).toBe(bare + 24 + 24);
  });

  it("from nobody with a MAC are dropped", () => {
    const packet = { source: UNSPECIFIED, destination: ALL_ROUTERS };
    const verdict = decide(icmp(ROUTER_SOLICITATION, packet), config());
    expect(verdict).toEqual({ kind: "drop", reason: DropReason.NdpMalformed });
  });
});

describe("unsolicited advertisements", () => {
  it("are sent periodically after the first solicitation, and not before", () => {
    const { responders, announcers } = servicesFor(config());
    const [ndp] = announcers;
    if (ndp === undefined) throw new Error("nobody announces");
    expect(ndp.announceAt).toBe(NEVER);
    const ask = icmp(ROUTER_SOLICITATION, { destination: ALL_ROUTERS });
    responders.find((service) => service.claims(ask))?.handle(ask, 1000);
    expect(ndp.announceAt).toBeGreaterThanOrEqual(1000 + 200_000);
    expect(ndp.announceAt).toBeLessThanOrEqual(1000 + 600_000);
    const due = ndp.announceAt;
    expect(parseOk(ndp.announcement(due))).toMatchObject({
      icmpType: NdpType.RouterAdvertisement,
      destination: ALL_NODES,
    });
    expect(ndp.announceAt).toBeGreaterThan(due);
  });

  it("are not sent without IPv6", () => {
    expect(servicesFor(config({ plans: [PLAN4] })).announcers).toEqual([]);
  });
});
