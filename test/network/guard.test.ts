import { describe, expect, test } from "vitest";
import type { Address } from "../../src/base/address.ts";
import { DropReason, dropReasonName } from "../../src/base/drop.ts";
import { linkLocalOf } from "../../src/base/mac.js";
import { BROADCAST_MAC, type Mac } from "../../src/base/mac.ts";
import { Guard } from "../../src/network/guard.ts";
import { type ArpMessage, ArpOperation, emitArp } from "../../src/wire/arp.ts";
import { composeDatagram } from "../../src/wire/datagram.ts";
import { EtherType, emitEthernet } from "../../src/wire/ethernet.ts";
import {
  composeNdpFrame,
  composeRouterAdvertisement,
  emitNeighbor,
  groupMac,
  NdpType,
  type NeighborMessage,
  neighborLength,
  solicitedNodeGroup,
} from "../../src/wire/ndp.ts";
import { address } from "../base/addresses.ts";
import { PLAN6 } from "../services/frames.ts";

const OWN_MAC: Mac = 0x0242_0a59_0002;
const OTHER_MAC: Mac = 0x0242_0a59_0003;
const OWN = address("10.89.0.2");
const OWN6 = address("fd00::2");
const LINK_LOCAL = address("fe80::42:aff:fe59:2");
const OTHER = address("10.89.0.3");
const OTHER6 = address("fd00::3");
const ALL_NODES = address("ff02::1");
const NOBODY6 = address("::");

const guard = new Guard({ mac: OWN_MAC, addresses: [OWN, OWN6] });

describe("what a port may send", () => {
  test.each([OWN, OWN6, LINK_LOCAL])("datagrams from its own address %s", (source) => {
    expect(verdict(udp({ source }))).toBe("ok");
  });

  test("queries, and its own addresses in ARP and neighbour discovery", () => {
    expect(verdict(arp({}))).toBe("ok");
    expect(verdict(arp({ senderAddress: address("0.0.0.0") }))).toBe("ok");
    expect(verdict(neighbor({ type: NdpType.NeighborSolicitation, target: OTHER6 }))).toBe("ok");
    expect(verdict(neighbor({}))).toBe("ok");
    expect(verdict(neighbor({ target: LINK_LOCAL }))).toBe("ok");
    const detection = { type: NdpType.NeighborSolicitation, mac: null } as const;
    expect(verdict(neighbor(detection, { source: NOBODY6 }))).toBe("ok");
  });

  test("from the link-local address that Linux derives from its MAC", () => {
    expect(`${linkLocalOf(OWN_MAC)}`).toBe(`${LINK_LOCAL}`);
  });
});

describe("what a port may not send", () => {
  test("frames of another MAC", () => {
    expect(verdict(udp({ mac: OTHER_MAC }))).toBe("policy-spoofed");
  });

  test.each([OTHER, OTHER6, linkLocalOf(OTHER_MAC), NOBODY6])("datagrams from %s", (source) => {
    expect(verdict(udp({ source }))).toBe("policy-spoofed");
  });

  test("ARP with another's address", () => {
    const { Reply } = ArpOperation;
    expect(verdict(arp({ senderAddress: OTHER }))).toBe("policy-spoofed");
    expect(verdict(arp({ senderMac: OTHER_MAC }))).toBe("policy-spoofed");
    expect(verdict(arp({ operation: Reply, senderAddress: OTHER }))).toBe("policy-spoofed");
    expect(verdict(arp({ operation: Reply, senderAddress: address("0.0.0.0") }))).toBe(
      "policy-spoofed",
    );
  });

  test("neighbour advertisements of another's address, or with another's MAC", () => {
    expect(verdict(neighbor({ target: OTHER6 }))).toBe("policy-spoofed");
    expect(verdict(neighbor({ mac: OTHER_MAC }))).toBe("policy-spoofed");
  });

  test("router advertisements, also behind an extension header", () => {
    const frame = routerAdvertisement();
    expect(verdict(frame)).toBe("policy-spoofed");
    expect(verdict(behindDestinationOptions(frame))).toBe("policy-spoofed");
  });

  test("protocols other than IP and ARP", () => {
    const frame = udp({});
    frame[12] = 0x88;
    frame[13] = 0xcc;
    expect(verdict(frame)).toBe("ethernet-unknown-type");
  });

  test("frames that end within a header", () => {
    const frames = [udp({}), udp({ source: OWN6 }), arp({}), neighbor({})];
    for (const frame of frames) {
      for (let length = 0; length < 42; length += 1) {
        const reason = guard.check(frame.slice(0, length), 0, length);
        if (length < 34) expect(reason).not.toBe(0);
      }
    }
  });

  test("a family that its network does not have: no lie, but of no known type", () => {
    const only4 = new Guard({ mac: OWN_MAC, addresses: [OWN] });
    const only6 = new Guard({ mac: OWN_MAC, addresses: [OWN6] });
    const report = neighbor({ target: LINK_LOCAL }, { source: LINK_LOCAL });
    for (const [port, frame] of [
      [only4, report],
      [only4, udp({ source: OWN6 })],
      [only6, udp({})],
      [only6, arp({})],
    ] as const) {
      expect(port.check(frame, 0, frame.length)).toBe(DropReason.EthernetUnknownType);
    }
  });
});

function verdict(frame: Uint8Array): string {
  const reason = guard.check(frame, 0, frame.length);
  return reason === 0 ? "ok" : dropReasonName(reason);
}

function udp({ mac = OWN_MAC, source = OWN }: { mac?: Mac; source?: Address }): Uint8Array {
  const from = { mac, address: source, port: 1000 };
  const to = { mac: OTHER_MAC, address: source.family === 4 ? OTHER : OTHER6, port: 53 };
  return composeDatagram(from, to, Uint8Array.of(1, 2, 3));
}

function arp(changes: Partial<ArpMessage>): Uint8Array {
  const frame = new Uint8Array(42);
  emitEthernet(frame, 0, BROADCAST_MAC, OWN_MAC, EtherType.Arp);
  emitArp(frame, 14, {
    operation: ArpOperation.Request,
    senderMac: OWN_MAC,
    senderAddress: OWN,
    targetMac: 0,
    targetAddress: OTHER,
    ...changes,
  });
  return frame;
}

function neighbor(changes: Partial<NeighborMessage>, { source = OWN6 } = {}): Uint8Array {
  const type = NdpType.NeighborAdvertisement;
  const message = { type, flags: 0, target: OWN6, mac: OWN_MAC, ...changes };
  const bytes = new Uint8Array(neighborLength(message));
  emitNeighbor(bytes, 0, message);
  const group = solicitedNodeGroup(message.target);
  return composeNdpFrame(source, OWN_MAC, group, groupMac(group), bytes);
}

function routerAdvertisement(): Uint8Array {
  const message = composeRouterAdvertisement({
    routerLifetime: 9,
    dnsLifetime: 9,
    mac: OWN_MAC,
    mtu: 1500,
    hopLimit: 64,
    prefixes: [{ prefix: PLAN6.prefix, validLifetime: 9, preferredLifetime: 9 }],
    isLeased: false,
    dnsServers: [],
    dnsSearch: [],
  });
  return composeNdpFrame(LINK_LOCAL, OWN_MAC, ALL_NODES, groupMac(ALL_NODES), message);
}

/** Eight bytes of padding options in front of the payload (RFC 8200 §4.6). */
function behindDestinationOptions(frame: Uint8Array): Uint8Array {
  const options = Uint8Array.of(58, 0, 1, 4, 0, 0, 0, 0);
  const longer = Buffer.concat([frame.subarray(0, 54), options, frame.subarray(54)]);
  longer[20] = 60;
  longer.writeUInt16BE(longer.length - 54, 18);
  return longer;
}
