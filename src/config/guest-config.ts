import type { Address, Family } from "../base/address.js";
import type { AddressPlan } from "./address-plan.js";
import type { DnsConfig } from "./dns-config.js";
import type { Limits } from "./limits.js";

/** The configuration of one guest's network. It is checked when it is made, and never changes. */
export interface GuestConfig {
  /** Of the TAP, in bytes without the Ethernet header. */
  readonly mtu: number;
  /** One or two, at most one of each family, in the order in which they are configured. */
  readonly plans: readonly AddressPlan[];
  /** Whether the gateway's address leads to the host's loopback. */
  readonly hostLoopback: boolean;
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
