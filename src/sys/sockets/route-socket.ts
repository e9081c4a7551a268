import { Socket } from "../constants.js";
import { native } from "../native.js";

/** struct sockaddr_nl of linux/netlink.h: family, padding, port id, groups. */
const SOCKADDR_LENGTH = 12;
const GROUPS_OFFSET = 8;

/** RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR and _IPV6_ROUTE of linux/rtnetlink.h. */
const EVERY_CHANGE = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/** Bytes of notices that wait for us; more are lost, of which the kernel tells by ENOBUFS. */
const RECEIVE_BUFFER = 256 * 1024;

const scratch = new Uint8Array(new ArrayBuffer(SOCKADDR_LENGTH));
const scratchMemory = native.registerMemory(scratch.buffer);

/**
 * A NETLINK_ROUTE socket of this process's network namespace, for requests.
 * @returns the socket, or a negative errno
 */
export function openRouteSocket(): number {
  return openSocket(0);
}

/**
 * A NETLINK_ROUTE socket at which the kernel tells of each change of links, addresses and routes.
 * @returns the socket, or a negative errno
 */
export function openRouteNotices(): number {
  return openSocket(EVERY_CHANGE);
}

function openSocket(groups: number): number {
  const fd = native.socket(Socket.Netlink, Socket.Raw, Socket.NetlinkRoute);
  if (fd < 0) return fd;
  native.setsockopt(fd, Socket.LevelSocket, Socket.ReceiveBuffer, RECEIVE_BUFFER);
  const bound = native.bind(fd, scratchMemory, 0, writeSockaddr(groups));
  // A connected socket takes no messages of other processes (netlink_getsockbyportid() of net/netlink/af_netlink.c).
  const error = bound < 0 ? bound : native.connect(fd, scratchMemory, 0, writeSockaddr(0));
  if (error >= 0) return fd;
  native.close(fd);
  return error;
}

/** The kernel chooses a port id for 0 where we bind, and is 0 itself where we connect. */
function writeSockaddr(groups: number): number {
  const view = new DataView(scratch.buffer);
  scratch.fill(0);
  view.setUint16(0, Socket.Netlink, true);
  view.setUint32(GROUPS_OFFSET, groups, true);
  return SOCKADDR_LENGTH;
}
