import type { Address, Family } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import type { AddressPlan } from "./address-plan.js";
import type { DnsConfig } from "./dns-config.js";
import type { Limits } from "./limits.js";

/** The configuration of one guest's network. It is checked when it is made, and only its plans ever change. */
export interface GuestConfig {
  /** Of the TAP, in bytes without the Ethernet header. */
  readonly mtu: number;
  /**
   * One or two, at most one of each family, in the order in which they are configured. Guest.replan() changes them while
   * the guest runs: they are read again for each decision.
   */
  readonly plans: readonly AddressPlan[];
  /** Slipway's Ethernet address on the guest's link. */
  readonly gatewayMac: Mac;
  /** Of what the guest sends: which protocols are relayed. */
  readonly protocols: Readonly<Record<ProtocolName, boolean>>;
  /** Which servers answer on the guest's link. `ndp`: neighbour solicitations; `ra`: router solicitations. */
  readonly services: Readonly<Record<ServiceName, boolean>>;
  /** The DNS server at the plans' DNS addresses; null: none. */
  readonly dns: DnsConfig | null;
  /** The guest's host name; null: unknown. */
  readonly hostname: string | null;
  /** Source address of outbound traffic, by family; null: the kernel chooses. */
  readonly outbound: Readonly<Record<Family, Address | null>>;
  /**
   * Who may send to a UDP port of the guest that is in use (RFC 4787 §5). `endpoint`: anybody; `address`: only
   * addresses that the port has sent to.
   */
  readonly udpFiltering: "endpoint" | "address";
  readonly timeouts: Timeouts;
  /** Most memory that the guest's packets and connections may hold, in bytes. */
  readonly memoryBudget: number;
  readonly limits: Limits;
  /** Set for a member of a network of several guests. Absent: the guest may reach all that the host reaches. */
  readonly membership?: Membership;
}

export type ProtocolName = "tcp" | "udp" | "icmp";
export type ServiceName = "dhcp" | "dhcpv6" | "ndp" | "ra";

export const ALL_PROTOCOLS: GuestConfig["protocols"] = { tcp: true, udp: true, icmp: true };
export const ALL_SERVICES: GuestConfig["services"] = {
  dhcp: true,
  dhcpv6: true,
  ndp: true,
  ra: true,
};

/** The rules for a guest that is a member of a network of several guests. */
export interface Membership {
  /** Whether the guest may reach an address outside its network. */
  mayReach(address: Address): boolean;
  /**
   * Whether an address is the gateway of some network of the daemon, at which a member may still look for its name server
   * after it has left that network.
   */
  isGateway(address: Address): boolean;
}

/** How long a UDP or ICMP mapping lasts without traffic, in ms. */
export interface Timeouts {
  /** UDP, once a datagram has been answered. */
  readonly udp: number;
  /** UDP, before that. */
  readonly udpUnanswered: number;
  /** UDP, while all datagrams went to port 53. */
  readonly udpDns: number;
  /** ICMP echo. */
  readonly ping: number;
}

/**
 * RFC 4787 REQ-5 asks for at least two minutes and recommends five; as slirp and pasta, we take 180 s once
 * answered. DNS queries are answered soon or not at all, and each uses a port of its own; REQ-5 (a) allows less
 * for well-known ports. RFC 5508 REQ-2: ICMP queries last at least 60 s.
 */
export const DEFAULT_TIMEOUTS: Timeouts = {
  udp: 180_000,
  udpUnanswered: 30_000,
  udpDns: 10_000,
  ping: 60_000,
};
