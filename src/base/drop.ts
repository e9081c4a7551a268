/**
 * Why a packet was dropped. Functions on the hot path return 0 or one of these numbers, which are negative and private
 * to the process. Users see the names (dropReasonName), which are stable.
 */
export const DropReason = {
  EthernetTruncated: -1,
  EthernetBadSource: -2,
  EthernetVlan: -3,
  EthernetUnknownType: -4,
  EthernetNotForUs: -5,
  ArpMalformed: -6,
  ArpNotForUs: -7,
  IpTruncated: -8,
  IpBadVersion: -9,
  IpBadHeaderLength: -10,
  IpBadLength: -11,
  IpBadChecksum: -12,
  IpBadOption: -13,
  IpSourceRoute: -14,
  IpBadSource: -15,
  IpBadDestination: -16,
  IpBadFragment: -17,
  IpFragment: -18,
  IpExtensionLimit: -19,
  IpBadExtension: -20,
  IpHopLimit: -21,
  IpUnknownProtocol: -22,
  UdpTruncated: -23,
  UdpBadLength: -24,
  UdpBadChecksum: -25,
  UdpBadPort: -26,
  IcmpTruncated: -27,
  IcmpBadChecksum: -28,
  IcmpUnsupported: -29,
  TcpBadHeader: -30,
  TcpBadChecksum: -31,
  DnsMalformed: -32,
  PolicyHostLoopback: -33,
  PolicyMulticast: -34,
  PolicyDenied: -35,
  LimitMemory: -36,
  LimitFlows: -37,
  LimitQuota: -38,
  LimitRate: -39,
  HostRefused: -40,
  TapQueueFull: -41,
  NdpMalformed: -42,
  NdpNotForUs: -43,
  DhcpMalformed: -44,
  DhcpNotForUs: -45,
  IpFragmentOverlap: -46,
  IpFragmentTimeout: -47,
  LimitFragments: -48,
  HostQueueFull: -49,
  PolicyFiltered: -50,
  PolicyPing: -51,
  GuestUnreachable: -52,
  LimitHalfOpen: -53,
  LimitDestination: -54,
  LimitMappings: -55,
  LimitListeners: -56,
  LimitDnsQueries: -57,
  LimitDescriptors: -58,
  LimitMappingRate: -59,
  PolicySpoofed: -60,
  LimitIcmpErrors: -61,
  UdpSegments: -62,
  DnsOpcode: -63,
  TunnelMalformed: -64,
  TunnelUnknownHost: -65,
  TunnelSpoofed: -66,
  TunnelReplayed: -67,
  TunnelUnreachable: -68,
  TunnelTooBig: -69,
  TunnelBadOffload: -70,
  TunnelCongestion: -71,
  PolicyProtocol: -72,
  LinkFraming: -73,
} as const;

export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** Result of a function on the hot path: a reason, or 0 for a valid packet. */
export type DropReasonOrOk = DropReason | 0;

/** Indexed by the negated reason; index 0 is unused. */
const NAMES: readonly string[] = Object.entries(DropReason).reduce<string[]>(
  (names, [key, reason]) => {
    names[-reason] = kebabCase(key);
    return names;
  },
  ["ok"],
);

/** The name that users see, such as `udp-bad-length`. */
export function dropReasonName(reason: DropReason): string {
  return NAMES[-reason];
}

/** Counts dropped packets by reason. */
export class DropCounters {
  // Doubles count without allocating and do not wrap below 2^53.
  readonly #counts = new Float64Array(NAMES.length);
  /** The reason counted last. A reader may set it to 0 and look later whether there was another. */
  last: DropReasonOrOk = 0;

  count(reason: DropReason): void {
    this.#counts[-reason] += 1;
    this.last = reason;
  }

  get(reason: DropReason): number {
    return this.#counts[-reason];
  }

  /** Name and count of every reason that has occurred. */
  entries(): [name: string, count: number][] {
    return NAMES.map((name, index): [string, number] => [name, this.#counts[index]]).filter(
      ([, count]) => count > 0,
    );
  }
}

function kebabCase(key: string): string {
  return key.replace(/(?!^)[A-Z]/g, "-$&").toLowerCase();
}
