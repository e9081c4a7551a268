import { type Address, AddressCache } from "../../base/address.js";
import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import { readMac } from "../../base/mac.js";
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
import type { Overlay } from "../overlay.js";
import type { Trunk } from "../trunk.js";

/** Messages of one recvmmsg, each of up to 64 KiB: what a wake-up takes of a socket. */
const BATCH = 8;
const BUFFER = 65_536;
const LAYOUT = { messages: BATCH, pieces: BATCH, control: RECEIVED_CONTROL_SPACE } as const;

const JOIN: JoinOptions = {
  layout: TunnelLayout.Vxlan,
  offload: true,
  udpOffload: TAPS_TAKE_DATAGRAMS,
  routed: false,
};

/** Receives from other hosts and peers by VXLAN, and writes frames to the members that they are for. */
export class VxlanReceiver {
  readonly #overlay: Overlay;
  readonly #joiner = new Joiner();
  readonly #memory: number;
  readonly #table: MessageTable;
  readonly #addresses = new AddressCache();
  readonly #control: ReceivedControl = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
  readonly #delivery: Delivery;
  /** The last trunk, which mostly is the next, too. */
  #vni = -1;
  #trunk: Trunk | null = null;
  #generation = -1;

  constructor(overlay: Overlay) {
    const { memory, arena, bytes } = this.#joiner;
    this.#overlay = overlay;
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
      if (this.#overlay.isKnown(source)) brought += this.#takeMessages(start, end, source);
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
    const { counters } = this.#overlay.counts;
    const frames = joiner.join(JOIN);
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
    joiner.countRefused(this.#overlay.counts.drops);
    joiner.clear();
    return brought;
  }

  #deliver(frame: number, source: Address): DropReasonOrOk {
    const joiner = this.#joiner;
    const trunk = this.#trunkOf(joiner.vni(frame));
    if (trunk === null) return DropReason.EthernetNotForUs;
    const at = joiner.ethernetAt(frame);
    const from = trunk.remoteAt(readMac(joiner.bytes, at + 6));
    if (from === null || from.site.address?.equals(source) !== true)
      return DropReason.TunnelSpoofed;
    const delivery = this.#delivery;
    delivery.at = at;
    delivery.vector = joiner.iovAt(frame);
    delivery.pieces = joiner.iovCount(frame);
    delivery.length = joiner.length(frame);
    delivery.headersLength = joiner.headerLength(frame);
    return trunk.deliver(from, delivery);
  }

  #trunkOf(vni: number): Trunk | null {
    const { generation } = this.#overlay;
    if (vni === this.#vni && generation === this.#generation) return this.#trunk;
    this.#vni = vni;
    this.#generation = generation;
    this.#trunk = this.#overlay.trunkOfVni(vni);
    return this.#trunk;
  }

  #drop(reason: DropReason): void {
    this.#overlay.counts.drops.count(reason);
  }
}
