import type { Address, Family } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import type { Timeouts } from "../config/guest-config.js";
import type { Envelope, GuestWriter } from "../frames/guest-writer.js";
import { native } from "../sys/native.js";
import { openDatagramSocket, receiveOffloaded } from "../sys/sockets/datagram-socket.js";
import { bindSocket } from "../sys/sockets/socket.js";
import type { Frame } from "../wire/frame.js";
import { IpProtocol } from "../wire/ip.js";
import { emitUdp, UDP_HEADER_LENGTH, udpChecksumIsRight, writeUdpChecksum } from "../wire/udp.js";
import type { DatagramProtocol, Exchange } from "./protocol.js";

/** UDP through the host's UDP sockets. */
export class UdpProtocol implements DatagramProtocol {
  readonly name = "udp";
  readonly hasSegments = true;
  readonly #receivesSegments: boolean;
  readonly #timeouts: Timeouts;

  /** @param receivesSegments whether the guest's TAP takes many datagrams in one frame */
  constructor(receivesSegments: boolean, timeouts: Timeouts) {
    this.#receivesSegments = receivesSegments;
    this.#timeouts = timeouts;
  }

  timeout(answered: boolean, isForDns: boolean): number {
    const { udp, udpUnanswered, udpDns } = this.#timeouts;
    if (isForDns) return udpDns;
    return answered ? udp : udpUnanswered;
  }

  get shortestTimeout(): number {
    const { udp, udpUnanswered, udpDns } = this.#timeouts;
    return Math.min(udp, udpUnanswered, udpDns);
  }

  number(): number {
    return IpProtocol.Udp;
  }

  open(family: Family, _guestPort: number, source: Address | null): number {
    const fd = openDatagramSocket(family, 0);
    if (fd < 0) return fd;
    if (this.#receivesSegments) receiveOffloaded(fd);
    const bound = source === null ? 0 : bindSocket(fd, source, 0);
    if (bound === 0) return fd;
    native.close(fd);
    return bound;
  }

  check(frame: Frame, isTrusted: boolean): DropReasonOrOk {
    if (isTrusted || udpChecksumIsRight(frame.bytes, frame)) return 0;
    return DropReason.UdpBadChecksum;
  }

  guestPort(frame: Frame): number {
    return frame.sourcePort;
  }

  port(frame: Frame): number {
    return frame.destinationPort;
  }

  payload(frame: Frame): number {
    return frame.payloadOffset;
  }

  length(frame: Frame): number {
    return frame.payloadLength;
  }

  deliver(writer: GuestWriter, envelope: Envelope, exchange: Exchange): void {
    const { port, guestPort, payload, length, segmentSize } = exchange;
    writer.writeDatagram(envelope, port, guestPort, payload, length, segmentSize);
  }

  /** Length and checksum are those of the part that came back, which is mostly all of it. */
  quote(
    source: Address,
    guestPort: number,
    destination: Address,
    port: number,
    payload: Uint8Array,
  ): Uint8Array {
    const bytes = new Uint8Array(UDP_HEADER_LENGTH + payload.length);
    emitUdp(bytes, 0, guestPort, port, payload.length, 0);
    bytes.set(payload, UDP_HEADER_LENGTH);
    writeUdpChecksum(bytes, 0, bytes.length, source, destination);
    return bytes;
  }
}
