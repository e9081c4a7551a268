import { constants } from "node:os";

/** Error numbers as this machine has them; calls return them negated. */
export const Errno = constants.errno;

/** epoll_ctl(2). */
export const Epoll = {
  In: 0x001,
  Out: 0x004,
  Error: 0x008,
  HangUp: 0x010,
  ReadHangUp: 0x2000,
  EdgeTriggered: 0x8000_0000,
} as const;

/** socket(2), unix(7), ip(7), ipv6(7), tcp(7), udp(7), icmp(7) of Linux. */
export const Socket = {
  Local: 1,
  Inet: 2,
  Inet6: 10,
  Netlink: 16,
  NetlinkSockDiag: 4,
  Stream: 1,
  Datagram: 2,
  Raw: 3,
  LevelSocket: 1,
  ReuseAddress: 2,
  Error: 4,
  SendBuffer: 7,
  ReceiveBuffer: 8,
  ErrorQueue: 0x2000,
  ProtocolIcmp: 1,
  ProtocolIcmpv6: 58,
  LevelIp: 0,
  BindAddressNoPort: 24,
  IpTos: 1,
  IpTtl: 2,
  IpPacketInfo: 8,
  IpMtuDiscover: 10,
  IpReceiveErrors: 11,
  IpReceiveTtl: 12,
  IpReceiveTos: 13,
  LevelTcp: 6,
  NoDelay: 1,
  TcpInfo: 11,
  LevelUdp: 17,
  UdpSegment: 103,
  UdpReceiveOffload: 104,
  LevelIpv6: 41,
  Ipv6UnicastHops: 16,
  Ipv6MtuDiscover: 23,
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
