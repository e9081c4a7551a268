import { constants } from "node:os";

/** Error numbers of this machine; calls return them negated. */
export const Errno = constants.errno;

/** epoll_ctl(2). */
export const Epoll = {
  In: 0x001,
  /** Urgent data of TCP. */
  Priority: 0x002,
  Out: 0x004,
  Error: 0x008,
  HangUp: 0x010,
  ReadHangUp: 0x2000,
  EdgeTriggered: 0x8000_0000,
} as const;

/** Events of a stream socket, registered once for its whole life. Edge-triggered: the receiver remembers readiness. */
export const STREAM_EVENTS = Epoll.In | Epoll.Out | Epoll.ReadHangUp | Epoll.EdgeTriggered;

/**
 * socket(2), unix(7), ip(7), ipv6(7), tcp(7), udp(7), icmp(7) of Linux. The sandbox allows only the options in the
 * lines below, from which native/syscalls.sh makes the filter: add a new option there.
 *
 * #syscalls node: setsockopt(1=SOL_SOCKET;2=SO_REUSEADDR) setsockopt(1=SOL_SOCKET;2=SO_OOBINLINE)
 * #syscalls node: setsockopt(1=SOL_SOCKET;2=SO_BINDTODEVICE) setsockopt(1=SOL_IP;2=IP_FREEBIND)
 * #syscalls node: setsockopt(1=SOL_SOCKET;2=SO_SNDBUF) setsockopt(1=SOL_SOCKET;2=SO_RCVBUF)
 * #syscalls node: setsockopt(1=SOL_IP;2=IP_BIND_ADDRESS_NO_PORT) setsockopt(1=SOL_IP;2=IP_TOS)
 * #syscalls node: setsockopt(1=SOL_IP;2=IP_TTL) setsockopt(1=SOL_IP;2=IP_PKTINFO)
 * #syscalls node: setsockopt(1=SOL_IP;2=IP_MTU_DISCOVER) setsockopt(1=SOL_IP;2=IP_RECVERR)
 * #syscalls node: setsockopt(1=SOL_IP;2=IP_RECVTTL) setsockopt(1=SOL_IP;2=IP_RECVTOS)
 * #syscalls node: setsockopt(1=SOL_TCP;2=TCP_NODELAY) setsockopt(1=SOL_UDP;2=UDP_GRO)
 * #syscalls node: setsockopt(1=SOL_IPV6;2=IPV6_UNICAST_HOPS) setsockopt(1=SOL_IPV6;2=IPV6_TCLASS)
 * #syscalls node: setsockopt(1=SOL_IPV6;2=IPV6_MTU_DISCOVER) setsockopt(1=SOL_IPV6;2=IPV6_RECVERR)
 * #syscalls node: setsockopt(1=SOL_IPV6;2=IPV6_V6ONLY) setsockopt(1=SOL_IPV6;2=IPV6_RECVPKTINFO)
 * #syscalls node: setsockopt(1=SOL_IPV6;2=IPV6_RECVHOPLIMIT)
 * #syscalls node: setsockopt(1=SOL_IPV6;2=IPV6_RECVTCLASS) getsockopt(1=SOL_TCP;2=TCP_INFO)
 * #syscalls node: getsockopt(1=SOL_IP;2=IP_MTU) getsockopt(1=SOL_IPV6;2=IPV6_MTU)
 */
export const Socket = {
  Local: 1,
  Inet: 2,
  Inet6: 10,
  Netlink: 16,
  NetlinkRoute: 0,
  NetlinkSockDiag: 4,
  Stream: 1,
  Datagram: 2,
  Raw: 3,
  SequencedPackets: 5,
  LevelSocket: 1,
  /** SO_NETNS_COOKIE, Linux 5.14 */
  NetnsCookie: 71,
  ReuseAddress: 2,
  Error: 4,
  OutOfBandInline: 10,
  SendBuffer: 7,
  ReceiveBuffer: 8,
  Type: 3,
  AcceptsConnections: 30,
  ErrorQueue: 0x2000,
  LevelIp: 0,
  BindAddressNoPort: 24,
  IpTos: 1,
  IpTtl: 2,
  IpPacketInfo: 8,
  IpMtuDiscover: 10,
  IpReceiveErrors: 11,
  IpReceiveTtl: 12,
  IpReceiveTos: 13,
  IpMtu: 14,
  IpFreebind: 15,
  LevelTcp: 6,
  NoDelay: 1,
  TcpInfo: 11,
  LevelUdp: 17,
  UdpSegment: 103,
  UdpReceiveOffload: 104,
  LevelIpv6: 41,
  Ipv6UnicastHops: 16,
  Ipv6MtuDiscover: 23,
  Ipv6Mtu: 24,
  Ipv6ReceiveErrors: 25,
  Ipv6Only: 26,
  Ipv6ReceivePacketInfo: 49,
  Ipv6PacketInfo: 50,
  Ipv6ReceiveHopLimit: 51,
  Ipv6HopLimit: 52,
  Ipv6ReceiveTrafficClass: 66,
  Ipv6TrafficClass: 67,
  MtuDiscoverNever: 0,
  MtuDiscoverProbe: 3,
  ShutdownWrite: 1,
} as const;
