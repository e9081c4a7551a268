import type { Address } from "../base/address.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import { type IcmpErrors, rebuildPacket } from "../frames/icmp-errors.js";
import type { Stack } from "../stack/stack.js";
import { Errno } from "../sys/constants.js";
import type { QueuedError } from "../sys/sockets/control-data.js";
import { isOwnAddress } from "../sys/sockets/socket.js";
import { IcmpError, isIcmpError } from "../wire/icmp.js";
import { DEFAULT_HOP_LIMIT } from "../wire/reply.js";
import type { Mapping } from "./mapping.js";
import type { Receiver } from "./receiver.js";
import type { SendObserver } from "./send-queue.js";

/** What the errors of host sockets need of the guest. */
export interface HostErrorsContext {
  readonly stack: Stack;
  readonly drops: DropCounters;
  /** Writes ICMP errors to the guest. */
  readonly errors: IcmpErrors;
}

/** Tells the guest of errors of host sockets, as the ICMP errors that they came as or stand for. */
export class HostErrors implements SendObserver {
  readonly #context: HostErrorsContext;
  readonly #receiver: Receiver;

  constructor(context: HostErrorsContext, receiver: Receiver) {
    this.#context = context;
    this.#receiver = receiver;
  }

  /** Empties the error queue of the mapping's socket. */
  readErrors(mapping: Mapping): void {
    const receiver = this.#receiver;
    for (let count = receiver.receiveErrors(mapping.fd); count > 0; ) {
      for (let index = 0; index < count; index += 1) {
        const error = receiver.errorAt(index);
        if (error === null) continue;
        if (error.isLocal) mapping.localMtu = error.mtu;
        else this.#onQueuedError(mapping, index, error);
      }
      count = receiver.receiveErrors(mapping.fd);
    }
  }

  /** An ICMP error came back about a datagram that the mapping sent: the guest gets it. */
  #onQueuedError(mapping: Mapping, index: number, error: QueuedError): void {
    const { route, guest, guestPort, protocol, mac } = mapping;
    const receiver = this.#receiver;
    if (!isIcmpError(guest.family, error.type)) return;
    const destination = route.as ?? receiver.errorDestination(index);
    const port = mapping.session?.seenPort ?? receiver.errorPort(index);
    const payload = receiver.errorPayload(index);
    const transport = protocol.quote(guest, guestPort, destination, port, payload);
    const number = protocol.number(guest.family);
    const packet = rebuildPacket(guest, destination, number, transport);
    const from = route.as ?? reporterOf(error.offender);
    const hopLimit = Math.max(1, error.hopLimit - 1);
    this.#context.errors.aboutPacket(packet, mac, error, { from, mtu: error.mtu, hopLimit });
  }

  /** The datagram in the frame at (offset, length) could not be sent. @param errno positive */
  onSendFailure(mapping: Mapping, offset: number, length: number, errno: number): void {
    const { drops, errors, stack } = this.#context;
    const error = errorFor(errno);
    if (error === null) {
      drops.count(DropReason.HostQueueFull);
      return;
    }
    drops.count(DropReason.HostRefused);
    const mtu = error === IcmpError.PacketTooBig ? mapping.localMtu : 0;
    const detail = { from: null, mtu, hopLimit: DEFAULT_HOP_LIMIT };
    errors.aboutFrame(stack.bytes, offset, length, error[mapping.guest.family], detail);
  }
}

/**
 * Whom the guest sees as the source of an error; null for the gateway. The gateway reports what the host itself
 * says (a firewall, a neighbour that does not answer), and what comes from a link-local address, which would be
 * one of the guest's own link.
 */
function reporterOf(offender: Address | null): Address | null {
  if (offender === null || offender.isLoopback) return null;
  if (offender.family === 6 && offender.isLinkLocal) return null;
  return isOwnAddress(offender) ? null : offender;
}

/** The ICMP error for a send that failed; null for none: the datagram is lost, as on any network. */
function errorFor(errno: number): IcmpError | null {
  switch (errno) {
    case Errno.ENETUNREACH:
      return IcmpError.NetworkUnreachable;
    case Errno.EHOSTUNREACH:
    // The host has no address for the destination's family: it is not routed.
    case Errno.EADDRNOTAVAIL:
      return IcmpError.HostUnreachable;
    case Errno.EACCES:
    case Errno.EPERM:
      return IcmpError.Prohibited;
    case Errno.ECONNREFUSED:
      return IcmpError.PortUnreachable;
    case Errno.EMSGSIZE:
      return IcmpError.PacketTooBig;
    default:
      return null;
  }
}
