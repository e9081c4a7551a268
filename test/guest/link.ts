import { Address } from "../../src/base/address.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import {
  bindSocket,
  connectSocket,
  localAddress,
  openSocket,
} from "../../src/sys/sockets/socket.js";

const LOOPBACK = Address.ofIpv4Word(0x7f00_0001);

/** A socket in a TAP's place, and the guest's end of it. */
export function makeLink(): { tap: number; far: number } {
  const [tap, far] = [openSocket(4, Socket.Datagram), openSocket(4, Socket.Datagram)];
  for (const socket of [tap, far]) {
    bindSocket(socket, LOOPBACK, 0);
    native.setsockopt(socket, Socket.LevelSocket, Socket.ReceiveBuffer, 1 << 20);
  }
  connectSocket(tap, LOOPBACK, localAddress(far)?.port ?? 0);
  connectSocket(far, LOOPBACK, localAddress(tap)?.port ?? 0);
  return { tap, far };
}
