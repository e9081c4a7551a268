import type { Address } from "../../src/base/address.js";
import { gatewayMac } from "../../src/config/address-plan.js";
import type { DnsConfig, Upstream } from "../../src/config/dns-config.js";
import {
  ALL_PROTOCOLS,
  ALL_SERVICES,
  DEFAULT_TIMEOUTS,
  type GuestConfig,
} from "../../src/config/guest-config.js";
import { DEFAULT_LIMITS } from "../../src/config/limits.js";
import { servicesFor, type Verdict } from "../../src/services/index.js";
import { EtherType, emitEthernet } from "../../src/wire/ethernet.js";
import type { Frame } from "../../src/wire/frame.js";
import { emitIp, IpProtocol, ipHeaderLength } from "../../src/wire/ip.js";
import { emitUdp, writeUdpChecksum } from "../../src/wire/udp.js";
import { OWN } from "../nat/plans.js";
import { parseOk } from "../wire/parsing.js";

export const GUEST_MAC = 0x02_00_00_00_00_64;
export const GATEWAY_MAC = 0x52_55_0a_00_02_02;
export const [PLAN4, PLAN6] = OWN;

export function config(changes: Partial<GuestConfig> = {}): GuestConfig {
  const { plans = [PLAN4, PLAN6] } = changes;
  const defaults = { mtu: 1500, hostname: null, dns: dnsConfig() };
  const link = { gatewayMac: gatewayMac(plans), services: ALL_SERVICES, protocols: ALL_PROTOCOLS };
  const outbound = { 4: null, 6: null };
  const udpFiltering = "endpoint" as const;
  const memoryBudget = 64 * 1024 * 1024;
  const limits = DEFAULT_LIMITS;
  const timeouts = DEFAULT_TIMEOUTS;
  const rest = { outbound, udpFiltering, timeouts, memoryBudget, limits };
  return { ...defaults, ...link, plans, ...rest, ...changes };
}

export function dnsConfig(upstream: Partial<Upstream> = {}): DnsConfig {
  return { upstream: { servers: [], search: [], ...upstream }, records: new Map() };
}

/** A frame with a datagram from the guest. */
export function datagram(destination: Address, port: number, payload: Uint8Array): Frame {
  const { family } = destination;
  const source = family === 4 ? PLAN4.guest : PLAN6.guest;
  const headers = 14 + ipHeaderLength(family);
  const bytes = new Uint8Array(headers + 8 + payload.length);
  const etherType = family === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
  emitEthernet(bytes, 0, GATEWAY_MAC, GUEST_MAC, etherType);
  const fields = {
    source,
    destination,
    protocol: IpProtocol.Udp,
    hopLimit: 64,
    trafficClass: 0,
  };
  emitIp(bytes, 14, fields, 8 + payload.length);
  emitUdp(bytes, headers, 40_000, port, payload.length, 0);
  bytes.set(payload, headers + 8);
  writeUdpChecksum(bytes, headers, 8 + payload.length, source, destination);
  return parseOk(bytes);
}

/** What the services of a guest decide about a frame; null when none claims it. */
export function decide(frame: Frame, guest: GuestConfig): Verdict | null {
  const service = servicesFor(guest).responders.find((candidate) => candidate.claims(frame));
  return service?.handle(frame, 0) ?? null;
}

/** The frame of a verdict that must be a reply. */
export function replied(verdict: Verdict | null): Frame {
  if (verdict?.kind !== "reply") throw new Error(`not a reply: ${verdict?.kind}`);
  return parseOk(verdict.frame);
}
