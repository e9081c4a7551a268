import { DescriptorLedger } from "../../src/admission/descriptor-ledger.js";
import { DescriptorQuotas } from "../../src/admission/descriptors.js";
import { LOOPBACK } from "../../src/base/address.js";
import type { GuestConfig } from "../../src/config/guest-config.js";
import { Guest } from "../../src/guest/guest.js";
import type { TapHandle } from "../../src/guest/tap-handle.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import {
  bindSocket,
  connectSocket,
  localAddress,
  openSocket,
} from "../../src/sys/sockets/socket.js";

/** A UDP socket on the host's loopback. */
function openOnLoopback(): number {
  const socket = openSocket(4, Socket.Datagram);
  bindSocket(socket, LOOPBACK[4], 0);
  native.setsockopt(socket, Socket.LevelSocket, Socket.ReceiveBuffer, 1 << 20);
  return socket;
}

/** A socket in a TAP's place, and the guest's end of it. */
export function makeLink(): { tap: number; far: number } {
  const [tap, far] = [openOnLoopback(), openOnLoopback()];
  connectSocket(tap, LOOPBACK[4], localAddress(far)?.port ?? 0);
  connectSocket(far, LOOPBACK[4], localAddress(tap)?.port ?? 0);
  return { tap, far };
}

/** Where datagrams of a guest arrive: a socket of the host, and its port. */
export function openWorld(): { world: number; port: number } {
  const world = openOnLoopback();
  return { world, port: localAddress(world)?.port ?? 0 };
}

/** A guest alone, which may have 1,000 descriptors. */
export function makeGuest(tap: TapHandle, config: GuestConfig, clock: () => number): Guest {
  const quota = new DescriptorQuotas(DescriptorLedger.create(1_000), clock).add();
  return new Guest(0, tap, config, quota);
}
