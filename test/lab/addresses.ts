/**
 * The addresses of the lab: documentation networks only (RFC 5737, RFC 3849), so that nothing a
 * test sends could reach anybody, even without a namespace.
 */

/** The link between the host and the world. */
export const link = {
  host: "198.51.100.2",
  world: "198.51.100.1",
  length: 24,
  host6: "2001:db8:0:1::2",
  world6: "2001:db8:0:1::1",
  length6: 64,
} as const;

/** Addresses at which the world serves, all behind the link. */
export const served = {
  /** nginx, also called {@link httpName} */
  http: "203.0.113.10",
  http6: "2001:db8:0:2::10",
  /** the servers that a test makes with the world's agent */
  services: "203.0.113.20",
  services6: "2001:db8:0:2::20",
  /** dnsmasq, the only name server the host knows */
  dns: "203.0.113.53",
  dns6: "2001:db8:0:2::53",
} as const;

/** The name by which guests find nginx. */
export const httpName = "world.example";

/**
 * Destinations that fail, each in its own way. Those with an ICMP answer fail at once, but
 * Linux answers one host at most five times in a row and then once a second. Every port on which
 * nobody listens, at any of the addresses in {@link served}, is refused.
 */
export const failing = {
  /** the host has no route: ENETUNREACH without a packet sent */
  noRoute: "192.0.2.1",
  /** the router answers ICMP network unreachable: ENETUNREACH */
  networkUnreachable: "203.0.113.201",
  /** the router answers ICMP host unreachable: EHOSTUNREACH */
  hostUnreachable: "203.0.113.202",
  /** the router answers ICMP administratively prohibited: EHOSTUNREACH in Linux's IPv4 */
  prohibited: "203.0.113.203",
  /** packets vanish: a connection attempt ends by its own time limit */
  blackHole: "203.0.113.204",
  /** in IPv6 Linux answers every unreachable route like this: ENETUNREACH */
  networkUnreachable6: "2001:db8:0:2::201",
  blackHole6: "2001:db8:0:2::204",
  /** EACCES in Linux's IPv6 */
  prohibited6: "2001:db8:0:2::203",
} as const;

/** The IPv6 network of a guest that has one, by slirp4netns's convention. */
export const guest6 = {
  gateway: "fd00::2",
  router: "fe80::2",
  dns: "fd00::3",
  guest: "fd00::64",
} as const;
