import { describe, expect, test } from "vitest";
import { type Address, Prefix } from "../../src/base/address.js";
import { NEVER } from "../../src/base/clock.js";
import { BROADCAST_MAC } from "../../src/base/mac.js";
import type { AddressPlan, Route } from "../../src/config/address-plan.js";
import type { GuestConfig } from "../../src/config/guest-config.js";
import { ALL_SERVICES } from "../../src/config/guest-config.js";
import { servicesFor } from "../../src/services/index.js";
import { ARP_LENGTH, ArpOperation, emitArp } from "../../src/wire/arp.js";
import { type DhcpMessage, DhcpOption, DhcpType } from "../../src/wire/dhcp.js";
import {
  composeAssociation,
  Dhcpv6Option,
  Dhcpv6Type,
  parseAssociatedAddress,
  parseAssociation,
} from "../../src/wire/dhcpv6.js";
import { composeEthernet, EtherType, emitEthernet } from "../../src/wire/ethernet.js";
import type { Frame } from "../../src/wire/frame.js";
import {
  emitEchoReply,
  ICMP_HEADER_LENGTH,
  icmpProtocol,
  writeIcmpChecksum,
} from "../../src/wire/icmp.js";
import { emitIp, ipHeaderLength } from "../../src/wire/ip.js";
import { composeNdpFrame, emitNeighbor, NdpType, neighborLength } from "../../src/wire/ndp.js";
import { address } from "../base/addresses.js";
import { ALONE, COPIED, COPIED_OPEN } from "../nat/plans.js";
import { parseOk } from "../wire/parsing.js";
import { config, decide, GUEST_MAC, replied } from "./frames.js";
import { asked, askedV6, dhcpIn, dhcpv6In } from "./requests.js";

const UNSPECIFIED = { 4: address("0.0.0.0"), 6: address("::") };
const [COPIED4, COPIED6] = COPIED;

const open = config({ plans: COPIED_OPEN });
const closed = config({ plans: COPIED });

/** The guest asks for the Ethernet address of another, or whether it may have it. */
function asksFor(target: Address, detects: boolean): Frame {
  return target.family === 4 ? arpFor(target, detects) : solicitationFor(target, detects);
}

function arpFor(
  target: Address,
  detects: boolean,
  sender = detects ? UNSPECIFIED[4] : COPIED4.guest,
): Frame {
  const bytes = new Uint8Array(14 + ARP_LENGTH);
  const at = emitEthernet(bytes, 0, BROADCAST_MAC, GUEST_MAC, EtherType.Arp);
  emitArp(bytes, at, {
    operation: ArpOperation.Request,
    senderMac: GUEST_MAC,
    senderAddress: sender,
    targetMac: 0,
    targetAddress: target,
  });
  return parseOk(bytes);
}

function solicitationFor(target: Address, detects: boolean): Frame {
  const mac = detects ? null : GUEST_MAC;
  const message = { type: NdpType.NeighborSolicitation, flags: 0, target, mac };
  const bytes = new Uint8Array(neighborLength(message));
  emitNeighbor(bytes, 0, message);
  const source = detects ? UNSPECIFIED[6] : COPIED6.guest;
  const group = address("ff02::1:ff00:1");
  return parseOk(composeNdpFrame(source, GUEST_MAC, group, 0x3333_ff00_0001, bytes));
}

function isAnswered(text: string, guest: GuestConfig, detects = false): boolean {
  return decide(asksFor(address(text), detects), guest)?.kind === "reply";
}

describe("who has an address, the guest is told", () => {
  test.each([
    ["the router", "192.0.2.1"],
    ["a neighbour", "192.0.2.77"],
    ["a neighbour of a further address", "203.0.113.130"],
    ["anybody on the link by a route", "198.51.100.1"],
    ["IPv4 link-local", "169.254.169.254"],
    ["the router", "fe80::1"],
    ["a neighbour", "2001:db8:1::77"],
    ["a neighbour of a further address", "2001:db8:2::77"],
    ["anybody on the link by a route", "2001:db8:9::1"],
  ])("%s: %s", (_, text) => {
    expect(isAnswered(text, closed)).toBe(true);
    expect(isAnswered(text, open)).toBe(true);
  });

  test.each([
    ...["192.0.2.10", "203.0.113.200", "2001:db8:1::10", "2001:db8:2::20"],
    ...["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.255", "203.0.113.255"],
    ...["::", "::1", "fe80::77", "::c000:201"],
  ])("not for %s, which is its own, or of nobody", (text) => {
    expect(isAnswered(text, open)).toBe(false);
    expect(isAnswered(text, open, true)).toBe(false);
  });

  test.each(["192.0.2.77", "2001:db8:1::77", "2001:db8:1::5054:ff:fe00:64", "fe80::64"])(
    "not when it asks whether it may have %s, which it may have made",
    (text) => {
      expect(isAnswered(text, open, true)).toBe(false);
    },
  );

  test("not when it announces one that it has taken (RFC 5227 §2.3)", () => {
    const taken = address("192.0.2.77");
    expect(decide(arpFor(taken, false, taken), open)?.kind).toBe("drop");
  });

  test.each(["192.0.2.1", "fe80::1", "169.254.1.2", "fd00:1::2"])(
    "also then if %s is the router, or leads elsewhere",
    (text) => {
      expect(isAnswered(text, open, true)).toBe(true);
    },
  );
});

function ping(to: Address): Frame {
  const { family } = to;
  const plan = family === 4 ? COPIED4 : COPIED6;
  const headers = ipHeaderLength(family);
  const packet = new Uint8Array(headers + ICMP_HEADER_LENGTH);
  const fields = { protocol: icmpProtocol(family), hopLimit: 64, trafficClass: 0 };
  emitIp(packet, 0, { source: plan.guest, destination: to, ...fields }, ICMP_HEADER_LENGTH);
  emitEchoReply(packet, headers, family, 1, 1);
  packet[headers] = family === 4 ? 8 : 128;
  writeIcmpChecksum(packet, headers, ICMP_HEADER_LENGTH, plan.guest, to);
  return parseOk(composeEthernet(GUEST_MAC, GUEST_MAC, packet));
}

describe("ping", () => {
  test.each(["192.0.2.1", "fe80::1", "169.254.1.2", "fd00:1::2", "169.254.1.1", "192.0.2.77"])(
    "to %s goes on to the host",
    (text) => {
      expect(decide(ping(address(text)), open)).toBeNull();
    },
  );

  test("to a router that leads nowhere is answered", () => {
    expect(decide(ping(address("fe80::1")), closed)?.kind).toBe("reply");
    expect(decide(ping(address("192.0.2.1")), closed)).toBeNull();
  });
});

const LEASE = [DhcpOption.ParameterRequest, Uint8Array.of(1, 3, 121, 28, 6)] as const;

function offered(plan: AddressPlan, option: readonly [number, Uint8Array] = LEASE): DhcpMessage {
  const discover = asked({ type: DhcpType.Discover, options: [option] });
  return dhcpIn(replied(decide(discover, config({ plans: [plan] }))));
}

function option({ options }: DhcpMessage, code: number): string | undefined {
  const value = options.get(code);
  return value === undefined ? undefined : Buffer.from(value).toString("hex");
}

function route(destination: string, via: string | null): Route {
  return {
    destination: Prefix.parse(destination),
    via: via === null ? null : address(via),
    metric: null,
  };
}

const DEFAULT = route("0.0.0.0/0", "192.0.2.1");

describe("DHCP offers the guest's address", () => {
  test("with its network and router", () => {
    const offer = offered(COPIED4);
    expect(`${offer.yourAddress}`).toBe("192.0.2.10");
    expect(option(offer, DhcpOption.SubnetMask)).toBe("ffffff00");
    expect(option(offer, DhcpOption.Router)).toBe("c0000201");
    expect(option(offer, DhcpOption.Broadcast)).toBe("c00002ff");
    expect(option(offer, DhcpOption.ClasslessRoutes)).toBeUndefined();
  });

  test("without further routes where the host has the usual ones only", () => {
    const routes = [DEFAULT, route("192.0.2.0/24", null), route("192.0.2.128/25", null)];
    const offer = offered({ ...COPIED4, routes });
    expect(option(offer, DhcpOption.ClasslessRoutes)).toBeUndefined();
    expect(option(offer, DhcpOption.Router)).toBe("c0000201");
  });

  test("with a route to a router that is not on the network", () => {
    const offer = offered(ALONE);
    expect(option(offer, DhcpOption.SubnetMask)).toBe("ffffffff");
    expect(option(offer, DhcpOption.Broadcast)).toBeUndefined();
    expect(option(offer, DhcpOption.ClasslessRoutes)).toBe("20c000020100000000" + "00c0000201");
  });

  test("with further routes, the default first, and one to each next hop", () => {
    const routes = [
      route("198.51.100.0/24", "192.0.2.7"),
      route("10.128.0.0/9", "172.16.0.9"),
      route("10.64.0.0/10", "172.16.0.9"),
      route("203.0.113.7/32", null),
      DEFAULT,
      route("0.0.0.0/0", "192.0.2.2"),
    ];
    const offer = offered({ ...COPIED4, routes });
    expect(option(offer, DhcpOption.ClasslessRoutes)).toBe(
      ["00c0000201", "18c63364c0000207", "20ac10000900000000", "090a80ac100009"].join("") +
        ["0a0a40ac100009", "20cb00710700000000"].join(""),
    );
    expect(option(offer, DhcpOption.Router)).toBe("c0000201");
  });

  test("without a default route where the host has none", () => {
    const offer = offered({ ...COPIED4, routes: [route("192.0.2.0/24", null)] });
    expect(option(offer, DhcpOption.Router)).toBeUndefined();
    expect(option(offer, DhcpOption.ClasslessRoutes)).toBeUndefined();
  });

  test("with as many routes as the client has room for, in the order of the host", () => {
    const far = Array.from({ length: 200 }, (_, index) => route(`10.${index}.0.0/16`, "192.0.2.7"));
    const plan = { ...COPIED4, routes: [...far, DEFAULT] };
    const short = option(offered(plan), DhcpOption.ClasslessRoutes) ?? "";
    expect(short).toMatch(/^00c0000201100a00c0000207100a01/);
    // 576 bytes less headers and the other options, in routes of 7 bytes behind one of 5.
    expect(short.length / 2).toBe(5 + 20 * 7);
    const roomy = offered(plan, [DhcpOption.MaximumSize, Uint8Array.of(5, 0xdc)]);
    expect(roomy.options.get(DhcpOption.ClasslessRoutes)?.length).toBe(5 + 152 * 7);
  });
});

test("DHCPv6 grants the guest's address", () => {
  const association = composeAssociation({ id: 1, renewalTime: 0, rebindingTime: 0, options: [] });
  const solicit = askedV6(
    Dhcpv6Type.Solicit,
    { code: Dhcpv6Option.ClientId, value: Uint8Array.of(0, 3, 0, 1) },
    { code: Dhcpv6Option.IdentityAssociation, value: association },
  );
  const frame = replied(decide(solicit, closed));
  expect(`${frame.source}`).toBe("fe80::1");
  const granted = dhcpv6In(frame)
    .options.filter(({ code }) => code === Dhcpv6Option.IdentityAssociation)
    .flatMap(({ value }) => parseAssociation(value)?.options ?? [])
    .map(({ value }) => `${parseAssociatedAddress(value)?.address}`);
  expect(granted).toEqual(["2001:db8:1::10"]);
});

/** Flags, router lifetime, and the prefixes with their flags and valid lifetimes, of an advertisement. */
function advertised(frame: Frame): { flags: number; lifetime: number; prefixes: string[] } {
  const bytes = Buffer.from(
    frame.bytes.subarray(frame.transportOffset, frame.transportOffset + frame.transportLength),
  );
  expect(bytes[0]).toBe(NdpType.RouterAdvertisement);
  const prefixes: string[] = [];
  for (let at = 16; at < bytes.length; at += 8 * bytes[at + 1]) {
    if (bytes[at] !== 3) continue;
    const hex = bytes.subarray(at + 16, at + 24).toString("hex");
    prefixes.push(`${hex}/${bytes[at + 2]} ${bytes[at + 3]} ${bytes.readUInt32BE(at + 4)}`);
  }
  return { flags: bytes[5], lifetime: bytes.readUInt16BE(6), prefixes };
}

const asksForRouter = parseOk(
  composeNdpFrame(
    address("fe80::64"),
    GUEST_MAC,
    address("ff02::2"),
    0x3333_0000_0002,
    Uint8Array.of(NdpType.RouterSolicitation, 0, 0, 0, 0, 0, 0, 0),
  ),
);

describe("router advertisements", () => {
  test("come from the router and have the network of each address", () => {
    const frame = replied(decide(asksForRouter, closed));
    expect(`${frame.source}`).toBe("fe80::1");
    expect(advertised(frame)).toEqual({
      flags: 0xc0,
      lifetime: 1800,
      prefixes: ["20010db800010000/64 192 86400", "20010db800020000/64 192 86400"],
    });
  });

  test("send to DHCPv6 where the address has no /64", () => {
    const plan = { ...COPIED6, prefix: Prefix.of(COPIED6.guest, 128), others: [] };
    const { flags, prefixes } = advertised(
      replied(decide(asksForRouter, config({ plans: [plan] }))),
    );
    expect(flags).toBe(0xc0);
    expect(prefixes).toEqual(["20010db800010000/128 128 86400"]);
  });

  test("do not send to DHCPv6 where it does not answer", () => {
    const services = { ...ALL_SERVICES, dhcpv6: false };
    const guest = config({ plans: [COPIED6], services });
    expect(advertised(replied(decide(asksForRouter, guest))).flags).toBe(0x40);
  });

  test("are no default router where the host has none", () => {
    const plan = { ...COPIED6, routes: [route("2001:db8:1::/64", null)] };
    const frame = replied(decide(asksForRouter, config({ plans: [plan] })));
    expect(advertised(frame).lifetime).toBe(0);
  });

  test("come from a link-local address of ours where the user chose another router", () => {
    const router = address("2001:db8:1::1");
    const guest = config({ plans: [{ ...COPIED6, router, gateway: router }] });
    const { source } = replied(decide(asksForRouter, guest));
    expect(source.isLinkLocal).toBe(true);
    expect(isAnswered(`${source}`, guest)).toBe(true);
  });

  test("have no network where the guest has a link-local address only, which DHCPv6 does not lease", () => {
    const guest = address("fe80::64");
    const alone = { ...COPIED6, guest, prefix: Prefix.of(guest, 64), others: [] };
    const settings = config({ plans: [alone] });
    const { flags, prefixes } = advertised(replied(decide(asksForRouter, settings)));
    expect([flags, prefixes]).toEqual([0x40, []]);
    expect(servicesFor(settings).responders.map(({ name }) => name)).not.toContain("dhcpv6");
  });

  test("take back what the next plan has not, if the guest was told", () => {
    const { responders, announcers } = servicesFor(config({ plans: [COPIED6] }));
    const [ndp] = announcers;
    const next = { ...COPIED6, others: [], router: address("fe80::9") };
    expect(ndp.farewell([next])).toBeNull();
    responders.find((service) => service.claims(asksForRouter))?.handle(asksForRouter, 0);
    expect(ndp.farewell([COPIED6])).toBeNull();
    const frame = parseOk(ndp.farewell([next]) ?? new Uint8Array());
    expect(`${frame.source} ${frame.destination}`).toBe("fe80::1 ff02::1");
    expect(advertised(frame)).toMatchObject({
      lifetime: 0,
      prefixes: ["20010db800020000/64 192 0"],
    });
    expect(advertised(parseOk(ndp.farewell([]) ?? new Uint8Array())).prefixes).toHaveLength(2);
  });

  test("are sent soon where that is wanted, and not where none are", () => {
    const [ndp] = servicesFor(closed).announcers;
    ndp.announceSoon();
    expect(ndp.announceAt).toBe(0);
    const [silent] = servicesFor(
      config({ plans: COPIED, services: { ...closed.services, ra: false } }),
    ).announcers;
    silent.announceSoon();
    expect(silent.announceAt).toBe(NEVER);
  });
});
