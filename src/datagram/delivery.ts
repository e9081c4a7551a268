import type { Address } from "../base/address.js";
import { type Envelope, type GuestWriter, MAX_PIECES } from "../frames/guest-writer.js";
import { Tally } from "../nat/flow-record.js";
import type { ReceivedControl } from "../sys/sockets/control-data.js";
import { IpProtocol } from "../wire/ip.js";
import { DEFAULT_HOP_LIMIT } from "../wire/reply.js";
import type { Mapping } from "./mapping.js";
import type { Exchange } from "./protocol.js";
import type { Receiver } from "./receiver.js";
import { MAX_GATHERED } from "./send-queue.js";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Writes datagrams that the receiver holds to the guest, neighbours of one size as one superframe. */
export class Delivery {
  /** Datagrams and bytes that went to the guest. */
  readonly total = new Tally();
  readonly #writer: GuestWriter;
  readonly #receiver: Receiver;
  // Refilled for each datagram.
  readonly #control: ReceivedControl = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
  readonly #nextControl: ReceivedControl = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
  readonly #envelope: Envelope;
  readonly #exchange: Mutable<Exchange> = {
    guestPort: 0,
    port: 0,
    payload: 0,
    length: 0,
    segmentSize: 0,
  };

  /** @param gateway any address, to fill the envelope with */
  constructor(writer: GuestWriter, receiver: Receiver, gateway: Address) {
    this.#writer = writer;
    this.#receiver = receiver;
    this.#envelope = {
      mac: 0,
      source: gateway,
      destination: gateway,
      protocol: IpProtocol.Udp,
      hopLimit: DEFAULT_HOP_LIMIT,
      trafficClass: 0,
    };
  }

  /**
   * Delivers the receiver's message `index`, and those behind it that fit the same superframe.
   * @param source as whom the sender appears to the guest
   * @param end index behind the last message that may be joined
   * @returns how many messages were delivered, at least one
   */
  deliver(mapping: Mapping, source: Address, index: number, end: number): number {
    const receiver = this.#receiver;
    receiver.readControl(index, this.#control);
    this.#address(mapping, source);
    const port = mapping.session?.seenPort ?? receiver.portOf(index);
    const gathered = this.#gather(mapping, port, index, end);
    if (gathered > 1) return gathered;
    const exchange = this.#exchange;
    exchange.guestPort = mapping.guestPort;
    exchange.port = port;
    exchange.payload = receiver.payloadAt(index);
    exchange.length = receiver.lengthOf(index);
    exchange.segmentSize = this.#control.segmentSize;
    this.#count(mapping, exchange.length, exchange.segmentSize);
    mapping.protocol.deliver(this.#writer, this.#envelope, exchange);
    return 1;
  }

  #address(mapping: Mapping, source: Address): void {
    const envelope = this.#envelope;
    const { hopLimit, trafficClass } = this.#control;
    envelope.mac = mapping.mac;
    envelope.source = source;
    envelope.destination = mapping.guest;
    envelope.protocol = mapping.protocol.number(source.family);
    envelope.trafficClass = trafficClass;
    // The gateway is one hop. What the host itself sends begins at the gateway.
    envelope.hopLimit = mapping.route.as === null ? Math.max(1, hopLimit - 1) : DEFAULT_HOP_LIMIT;
  }

  /** @returns how many messages went as one superframe; 0 when they are to be delivered one by one */
  #gather(mapping: Mapping, port: number, index: number, end: number): number {
    const writer = this.#writer;
    const receiver = this.#receiver;
    const size = receiver.lengthOf(index);
    if (!mapping.protocol.hasSegments || size === 0 || this.#control.segmentSize > 0) return 0;
    if (!writer.takesSegments(this.#envelope.source, size)) return 0;
    let total = size;
    let next = index + 1;
    writer.setPiece(0, receiver.payloadAt(index), size);
    while (next < end && this.#continues(index, next, size, total)) {
      const length = receiver.lengthOf(next);
      writer.setPiece(next - index, receiver.payloadAt(next), length);
      total += length;
      next += 1;
      if (length < size) break;
    }
    const pieces = next - index;
    if (pieces === 1) return 0;
    const { guestPort } = mapping;
    if (!writer.writeGathered(this.#envelope, port, guestPort, pieces, total, size)) return 0;
    this.#count(mapping, total, size);
    return pieces;
  }

  /** Whether message `index` may join a superframe of `total` bytes whose first message is `first`. */
  #continues(first: number, index: number, size: number, total: number): boolean {
    const receiver = this.#receiver;
    const length = receiver.lengthOf(index);
    if (length === 0 || length > size || total + length > MAX_GATHERED) return false;
    if (index - first >= MAX_PIECES || receiver.portOf(index) !== receiver.portOf(first)) {
      return false;
    }
    if (!receiver.peerOf(index).equals(receiver.peerOf(first))) return false;
    receiver.readControl(index, this.#nextControl);
    const { segmentSize, trafficClass, hopLimit } = this.#nextControl;
    const control = this.#control;
    return (
      segmentSize === 0 && trafficClass === control.trafficClass && hopLimit === control.hopLimit
    );
  }

  #count(mapping: Mapping, bytes: number, segmentSize: number): void {
    mapping.toGuest.add(bytes, segmentSize);
    this.total.add(bytes, segmentSize);
  }
}
