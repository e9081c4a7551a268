import { type Address, AddressCache } from "../../base/address.js";
import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import type { Delivery } from "../../network/switch.js";
import { Joiner, type JoinOptions } from "../../stack/joiner.js";
import { TunnelLayout } from "../../stack/tunnel-frames.js";
import { native } from "../../sys/native.js";
import { TAPS_TAKE_DATAGRAMS } from "../../sys/release.js";
import {
  parseReceivedControl,
  RECEIVED_CONTROL_SPACE,
  type ReceivedControl,
} from "../../sys/sockets/control-data.js";
import { MessageTable, messageTableSize } from "../../sys/sockets/message-table.js";
import { sockaddrAddressOffset, sockaddrFamily } from "../../sys/sockets/sockaddr.js";
import type { TunnelCounts } from "../tunnel.js";

/** Messages of one recvmmsg, each of up to 64 KiB: what a wake-up takes of a socket. */
const BATCH = 8;
const BUFFER = 65_536;
const LAYOUT = { messages: BATCH, pieces: BATCH, control: RECEIVED_CONTROL_SPACE } as const;

/** Who receives. */
export interface Inbound {
  readonly counts: TunnelCounts;
  /** Whether frames from there may be for us. */
  isKnown(source: Address): boolean;
  /**
   * Takes a frame, which `delivery` describes, of the joiner, of which it may rewrite the headers.
   * @returns 0, or why it was dropped
   */
  deliver(joiner: Joiner, frame: number, source: Address, delivery: Delivery): DropReasonOrOk;
}

/** Receives from other hosts and peers by VXLAN. */
export class VxlanReceiver {
  readonly #inbound: Inbound;
  readonly #options: JoinOptions;
  readonly #joiner = new Joiner();
  readonly #memory: number;
  readonly #table: MessageTable;
  readonly #addresses = new AddressCache();
  readonly #control: ReceivedControl = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
  readonly #delivery: Delivery;

  /** @param routed see JoinOptions */
  constructor(inbound: Inbound, routed: boolean) {
    const { memory, arena, bytes } = this.#joiner;
    this.#inbound = inbound;
    this.#options = {
      layout: TunnelLayout.Vxlan,
      offload: true,
      udpOffload: TAPS_TAKE_DATAGRAMS,
      routed,
    };
    this.#memory = native.registerMemory(memory);
    this.#table = new MessageTable(memory, this.#memory, arena, LAYOUT);
    const buffers = (arena + messageTableSize(LAYOUT) + 63) & ~63;
    for (let index = 0; index < BATCH; index += 1)
      this.#table.setPiece(index, buffers + index * BUFFER, BUFFER);
    this.#delivery = {
      memory: this.#memory,
      bytes,
      at: 0,
      vector: 0,
      pieces: 0,
      length: 0,
      headersLength: 0,
    };
  }

  close(): void {
    native.unregisterMemory(this.#memory);
  }

  /** @returns how many bytes came for members */
  receive(fd: number, _now: number): number {
    const count = this.#table.receive(fd, BATCH, 0);
    let brought = 0;
    for (let start = 0; start < count; ) {
      const source = this.#sourceOf(start);
      let end = start + 1;
      while (end < count && this.#sourceOf(end).equals(source)) end += 1;
      if (this.#inbound.isKnown(source)) brought += this.#takeMessages(start, end, source);
      else this.#drop(DropReason.TunnelUnknownHost);
      start = end;
    }
    return brought;
  }

  #sourceOf(message: number): Address {
    const { bytes } = this.#joiner;
    const name = this.#table.nameAt(message);
    const family = sockaddrFamily(bytes, name);
    return this.#addresses.at(bytes, name + sockaddrAddressOffset(family), family);
  }

  /** Takes messages of one host. */
  #takeMessages(start: number, end: number, source: Address): number {
    const joiner = this.#joiner;
    let brought = 0;
    joiner.clear();
    for (let message = start; message < end; message += 1) {
      const { segmentSize, trafficClass } = this.#controlOf(message);
      let at = this.#table.pieceOffset(message);
      let length = this.#table.length(message);
      while (length > 0) {
        const left = joiner.addReceived(at, length, segmentSize, trafficClass);
        if (left > 0) brought += this.#join(source);
        at += length - left;
        length = left;
      }
    }
    return brought + this.#join(source);
  }

  #controlOf(message: number): ReceivedControl {
    const table = this.#table;
    const length = table.controlLength(message);
    parseReceivedControl(this.#joiner.bytes, table.controlAt(message), length, this.#control);
    return this.#control;
  }

  /** Makes frames of what was added, and delivers them. */
  #join(source: Address): number {
    const joiner = this.#joiner;
    const { counters } = this.#inbound.counts;
    const frames = joiner.join(this.#options);
    let brought = 0;
    for (let frame = 0; frame < frames; frame += 1) {
      const reason = this.#deliver(frame, source);
      if (reason !== 0) {
        this.#drop(reason);
        continue;
      }
      const length = joiner.length(frame);
      counters[0] += 1;
      counters[1] += length;
      brought += length;
    }
    joiner.countRefused(this.#inbound.counts.drops);
    joiner.clear();
    return brought;
  }

  #deliver(frame: number, source: Address): DropReasonOrOk {
    const joiner = this.#joiner;
    const delivery = this.#delivery;
    delivery.at = joiner.ethernetAt(frame);
    delivery.vector = joiner.iovAt(frame);
    delivery.pieces = joiner.iovCount(frame);
    delivery.length = joiner.length(frame);
    delivery.headersLength = joiner.headerLength(frame);
    return this.#inbound.deliver(joiner, frame, source, delivery);
  }

  #drop(reason: DropReason): void {
    this.#inbound.counts.drops.count(reason);
  }
}
