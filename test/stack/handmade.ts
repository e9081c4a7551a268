import { Address, type Family } from "../../src/base/address.js";
import { FlowEvent, TICK_INTERVAL } from "../../src/stack/stack.js";
import { addToSum, complement } from "../../src/wire/checksum.js";
import { Endpoint } from "./netsim.js";

export const Flag = { Fin: 1, Syn: 2, Rst: 4, Push: 8, Ack: 16, Urgent: 32 } as const;

const VNET = 10;
const ETHERNET = 14;
const IP_HEADER = { 4: 20, 6: 40 } as const;

/** MSS 1460, as Linux has it at an MTU of 1500. */
export const MSS_1460 = [2, 4, 5, 180] as const;

const ENDS = {
  4: { guest: parsed("198.51.100.100"), peer: parsed("203.0.113.7") },
  6: { guest: parsed("2001:db8::100"), peer: parsed("2001:db8:1::7") },
} as const;

export interface Segment {
  readonly flags: number;
  /** Relative to the guest's first sequence number after its SYN; default: the next one. */
  readonly sequence?: number;
  /** Relative to the stack's first sequence number after its SYN; default: all that came. */
  readonly acknowledgment?: number;
  readonly window?: number;
  readonly urgentPointer?: number;
  readonly options?: readonly number[];
  readonly payload?: Uint8Array;
}

/** A segment that the stack has sent. */
export interface Answer {
  readonly flags: number;
  /** Relative, as in Segment. */
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly window: number;
  readonly options: readonly number[];
  readonly payload: Buffer;
  /** Bytes in a segment of a superframe; 0: the frame is no superframe. */
  readonly segmentSize: number;
}

/**
 * A guest whose every segment the test makes by hand, connected to the world through a stack. It can
 * send what no kernel sends.
 */
export class HandmadeGuest {
  readonly end = new Endpoint({ mtu: 1500, offload: true });
  readonly #family: Family;
  readonly #port: number;
  /** Sequence numbers of the byte after the guest's SYN, and after the stack's. */
  #first = 0;
  #peerFirst = 0;
  /** Bytes, FIN included, that have been sent, and that have come in order. */
  sent = 0;
  received = 0;

  constructor(family: Family, port = 40_000) {
    this.#family = family;
    this.#port = port;
  }

  /** @returns the stack's SYN|ACK */
  connect(options: readonly number[] = MSS_1460, window = 64_000, initial = 1000): Answer {
    this.#first = initial + 1;
    this.sent = 0;
    this.received = 0;
    this.send({ flags: Flag.Syn, sequence: -1, acknowledgment: 0, options, window });
    const frame = this.end.outbox.at(-1);
    if (frame === undefined) throw new Error("no SYN|ACK");
    this.#peerFirst = (this.#tcpOf(frame).readUInt32BE(4) + 1) >>> 0;
    const [answer] = this.take();
    this.send({ flags: Flag.Ack, window });
    if ((this.end.seen & FlowEvent.Open) === 0) throw new Error("not open");
    this.end.outbox.length = 0;
    return answer;
  }

  /** Sends a segment. Only one at the next sequence number counts for `sent`. */
  send(segment: Segment): number {
    const { flags, sequence = this.sent, payload = new Uint8Array() } = segment;
    const verdict = this.end.input(this.#frameOf({ ...segment, sequence, payload }));
    const length = payload.length + (flags & Flag.Fin ? 1 : 0);
    if (sequence === this.sent) this.sent += length;
    this.end.drainEvents();
    while (this.end.stack.flushAcks());
    return verdict;
  }

  /** What the stack has sent since the last call; counts what came in order. */
  take(): Answer[] {
    const answers = this.end.outbox.splice(0).map((frame) => this.#answerOf(frame));
    for (const { sequence, payload, flags } of answers) {
      const length = payload.length + (flags & Flag.Fin ? 1 : 0);
      if (sequence <= this.received) this.received = Math.max(this.received, sequence + length);
    }
    return answers;
  }

  /** A router of the guest says that the segment at the relative `sequence` was too big for `mtu`. */
  updatePathMtu(sequence: number, mtu: number): boolean {
    const { guest, peer } = ENDS[this.#family];
    const tuple = { guest, guestPort: this.#port, peer, peerPort: 80 };
    return this.end.stack.updatePathMtu(tuple, (this.#peerFirst + sequence) >>> 0, mtu);
  }

  /** Lets time pass. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += TICK_INTERVAL) {
      this.end.stack.tick();
      this.end.drainEvents();
    }
  }

  #frameOf(segment: Segment & { readonly sequence: number; readonly payload: Uint8Array }): Buffer {
    const { flags, sequence, payload, options = [], window = 64_000, urgentPointer = 0 } = segment;
    const { acknowledgment = this.received } = segment;
    const { guest, peer } = ENDS[this.#family];
    const ip = VNET + ETHERNET;
    const tcp = ip + IP_HEADER[this.#family];
    const header = 20 + options.length;
    const frame = Buffer.alloc(tcp + header + payload.length);
    frame[0] = 1; // VIRTIO_NET_HDR_F_NEEDS_CSUM
    if (this.#family === 4) {
      frame.writeUInt16BE(0x0800, VNET + 12);
      frame[ip] = 0x45;
      frame.writeUInt16BE(frame.length - ip, ip + 2);
      frame.set([64, 6], ip + 8);
      guest.write(frame, ip + 12);
      peer.write(frame, ip + 16);
      frame.writeUInt16BE(complement(addToSum(0, frame, ip, 20)), ip + 10);
    } else {
      frame.writeUInt16BE(0x86dd, VNET + 12);
      frame[ip] = 0x60;
      frame.writeUInt16BE(frame.length - tcp, ip + 4);
      frame.set([6, 64], ip + 6);
      guest.write(frame, ip + 8);
      peer.write(frame, ip + 24);
    }
    frame.writeUInt16BE(this.#port, tcp);
    frame.writeUInt16BE(80, tcp + 2);
    frame.writeUInt32BE((this.#first + sequence) >>> 0, tcp + 4);
    if (flags & Flag.Ack) {
      frame.writeUInt32BE((this.#peerFirst + acknowledgment) >>> 0, tcp + 8);
    }
    frame.set([(header / 4) << 4, flags], tcp + 12);
    frame.writeUInt16BE(window, tcp + 14);
    frame.writeUInt16BE(urgentPointer, tcp + 18);
    frame.set(options, tcp + 20);
    frame.set(payload, tcp + header);
    return frame;
  }

  #tcpOf(frame: Uint8Array): Buffer {
    return Buffer.from(frame).subarray(VNET + ETHERNET + IP_HEADER[this.#family]);
  }

  #answerOf(frame: Uint8Array): Answer {
    const tcp = this.#tcpOf(frame);
    const header = (tcp[12] >> 4) * 4;
    return {
      flags: tcp[13],
      sequence: (tcp.readUInt32BE(4) - this.#peerFirst) | 0,
      acknowledgment: (tcp.readUInt32BE(8) - this.#first) | 0,
      window: tcp.readUInt16BE(14),
      options: [...tcp.subarray(20, header)],
      payload: Buffer.from(tcp.subarray(header)),
      segmentSize: frame[1] === 0 ? 0 : Buffer.from(frame).readUInt16LE(4),
    };
  }
}

function parsed(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(text);
  return address;
}
