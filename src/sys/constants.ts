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

/** socket(2), ip(7), ipv6(7), tcp(7), udp(7) of Linux. */
export const Socket = {
  Inet: 2,
  Inet6: 10,
  Stream: 1,
  Datagram: 2,
  LevelSocket: 1,
  ReuseAddress: 2,
  Error: 4,
  LevelIp: 0,
  IpReceiveErrors: 11,
  LevelTcp: 6,
  NoDelay: 1,
  LevelIpv6: 41,
  Ipv6Only: 26,
  Ipv6ReceiveErrors: 25,
  ShutdownWrite: 1,
} as const;
