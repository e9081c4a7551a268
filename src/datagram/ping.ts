import { type Address, type Family, UNSPECIFIED } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import type { Timeouts } from "../config/guest-config.js";
import type { Envelope, GuestWriter } from "../frames/guest-writer.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { openDatagramSocket } from "../sys/sockets/datagram-socket.js";
import { bindSocket } from "../sys/sockets/socket.js";
import type { Frame } from "../wire/frame.js";
import {
  ICMP_HEADER_LENGTH,
  icmpChecksumIsRight,
  icmpProtocol,
  isEchoRequest,
  rewriteEcho,
} from "../wire/icmp.js";
import type { DatagramProtocol, Exchange } from "./protocol.js";

/** Echo requests through the host's unprivileged ping sockets (icmp(7)). */
export class PingProtocol implements DatagramProtocol {
  readonly name = "icmp";
  readonly hasSegments = false;
  readonly #bytes: Uint8Array;
  readonly #timeouts: Timeouts;

  /** @param bytes the memory of the stack */
  constructor(bytes: Uint8Array, timeouts: Timeouts) {
    this.#bytes = bytes;
    this.#timeouts = timeouts;
  }

  timeout(): number {
    return this.#timeouts.ping;
  }

  get shortestTimeout(): number {
    return this.#timeouts.ping;
  }

  number(family: Family): number {
    return icmpProtocol(family);
  }

  /** Keeps the guest's identifier if it is free on the host. */
  open(family: Family, identifier: number, source: Address | null): number {
    const fd = openDatagramSocket(family, icmpProtocol(family));
    if (fd < 0) return fd;
    // Of a socket that is bound to no address, the identifier holds for whatever address the kernel chooses.
    const address = source ?? UNSPECIFIED[family];
    let bound = bindSocket(fd, address, identifier);
    if (bound === -Errno.EADDRINUSE) bound = bindSocket(fd, address, 0);
    if (bound === 0) return fd;
    native.close(fd);
    return bound;
  }

  check(frame: Frame): DropReasonOrOk {
    if (!isEchoRequest(frame.family, frame.icmpType)) return DropReason.IcmpUnsupported;
    return icmpChecksumIsRight(frame.bytes, frame) ? 0 : DropReason.IcmpBadChecksum;
  }

  guestPort(frame: Frame): number {
    return frame.identifier;
  }

  port(): number {
    return 0;
  }

  payload(frame: Frame): number {
    return frame.transportOffset;
  }

  length(frame: Frame): number {
    return frame.transportLength;
  }

  deliver(writer: GuestWriter, envelope: Envelope, exchange: Exchange): void {
    const { guestPort, payload, length } = exchange;
    if (length < ICMP_HEADER_LENGTH) return;
    const { source, destination } = envelope;
    rewriteEcho(this.#bytes, payload, length, guestPort, source, destination);
    writer.writeMessage(envelope, payload, length);
  }

  quote(
    source: Address,
    identifier: number,
    destination: Address,
    _port: number,
    payload: Uint8Array,
  ): Uint8Array {
    const bytes = payload.slice();
    if (bytes.length < ICMP_HEADER_LENGTH) return bytes;
    rewriteEcho(bytes, 0, bytes.length, identifier, source, destination);
    return bytes;
  }
}
