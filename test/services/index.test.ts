import { describe, expect, test } from "vitest";
import {
  ALL_PROTOCOLS,
  ALL_SERVICES,
  type GuestConfig,
  type ServiceName,
} from "../../src/config/guest-config.js";
import { servicesFor } from "../../src/services/index.js";
import { composeNdpFrame, NdpType } from "../../src/wire/ndp.js";
import { address } from "../base/addresses.js";
import { parseOk } from "../wire/parsing.js";
import { config, decide, GUEST_MAC, PLAN4, PLAN6, replied } from "./frames.js";

function namesOf(guest: GuestConfig): string {
  return servicesFor(guest)
    .responders.map(({ name }) => name)
    .join(" ");
}

function without(...off: readonly ServiceName[]): GuestConfig {
  const services = { ...ALL_SERVICES, ...Object.fromEntries(off.map((name) => [name, false])) };
  return config({ services });
}

const ROUTERS = address("ff02::2");

/** A message of neighbour discovery from the guest. */
function ndp(...message: readonly number[]) {
  const source = address("fe80::64");
  const bytes = Uint8Array.from(message);
  return parseOk(composeNdpFrame(source, GUEST_MAC, ROUTERS, 0x3333_0000_0002, bytes));
}

const asksForRouter = ndp(NdpType.RouterSolicitation, 0, 0, 0, 0, 0, 0, 0);
const asksForGateway = ndp(
  ...[NdpType.NeighborSolicitation, 0, 0, 0, 0, 0, 0, 0],
  ...PLAN6.gateway.toBytes(),
);

describe("a guest is served", () => {
  test("by everything that its families have", () => {
    expect(namesOf(config())).toBe("arp ndp dhcp dhcpv6 dns dns echo");
    expect(namesOf(config({ plans: [PLAN4] }))).toBe("arp dhcp dns echo");
    expect(namesOf(config({ plans: [PLAN6] }))).toBe("arp ndp dhcpv6 dns echo");
  });

  test.each<[ServiceName[], string]>([
    [["dhcp"], "arp ndp dhcpv6 dns dns echo"],
    [["dhcpv6"], "arp ndp dhcp dns dns echo"],
    [["ndp", "ra"], "arp dhcp dhcpv6 dns dns echo"],
  ])("without %s by the others", (off, names) => {
    expect(namesOf(without(...off))).toBe(names);
  });

  test("by no server of a protocol that is not relayed", () => {
    const protocols = { ...ALL_PROTOCOLS, icmp: false, udp: false };
    expect(namesOf(config({ protocols }))).toBe("arp ndp dhcp dhcpv6");
  });

  test("by router advertisements without neighbour discovery, and the other way round", () => {
    expect(decide(asksForRouter, without("ndp"))?.kind).toBe("reply");
    expect(decide(asksForGateway, without("ndp"))?.kind).toBe("drop");
    expect(decide(asksForRouter, without("ra"))?.kind).toBe("drop");
    expect(decide(asksForGateway, without("ra"))?.kind).toBe("reply");
  });
});

test("Slipway's Ethernet address is the one that the user chose", () => {
  const gatewayMac = 0x0200_5e10_0001;
  const guest = config({ gatewayMac });
  expect(replied(decide(asksForGateway, guest)).sourceMac).toBe(gatewayMac);
  expect(replied(decide(asksForRouter, guest)).sourceMac).toBe(gatewayMac);
});
