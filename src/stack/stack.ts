import lwip, { type LwipExports } from "lwip-wasm";
import { Address, type Family } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import * as abi from "./abi.js";
import { StackFault } from "./fault.js";
import { Splitter } from "./splitter.js";

export interface StackOptions {
  /** MTU of the guest's interface, in bytes of IP, 68..65521. */
  readonly mtu: number;
  /** Whether frames have a virtio header, so that the kernel computes checksums and segments. */
  readonly offload: boolean;
  /** The gateway's Ethernet address. */
  readonly mac: Mac;
  /** Most memory in use, in bytes. */
  readonly memoryBudget: number;
  /** Two random words, secret from the guest. */
  readonly seed: Uint32Array;
  /**
   * Writes a frame to the TAP: `count` pairs of u32 (offset, length) at `pieces`. It must not call the stack,
   * which is at work.
   * @returns >= 0, or a negative errno: the stack keeps the segment and sends it later
   */
  readonly transmit: (pieces: number, count: number) => number;
}

/** The two ends of a flow as the guest sees them. */
export interface FlowTuple {
  readonly guest: Address;
  readonly guestPort: number;
  /** The address that the guest talks to. */
  readonly peer: Address;
  readonly peerPort: number;
}

/** Drop reasons by the negated number of ABI_DROP_…. */
const DROP_REASONS: readonly DropReason[] = [
  DropReason.IpBadLength, // no reason has number 0
  DropReason.IpBadLength,
  DropReason.TcpBadHeader,
  DropReason.TcpBadChecksum,
  DropReason.LimitMemory,
  DropReason.LimitFlows,
  DropReason.LimitQuota,
  DropReason.IpBadDestination,
];

/** Results of input() for a frame that was not dropped. */
export const Input = { Taken: abi.INPUT_TAKEN, Pass: abi.INPUT_PASS } as const;

/** Events of a flow, ORed. */
export const FlowEvent = {
  /** The guest's SYN is held: accept(), refuse() or release() the flow. */
  Syn: abi.EVENT_SYN,
  /** The connection with the guest is established. */
  Open: abi.EVENT_OPEN,
  /** Bytes from the guest wait for the host. */
  Data: abi.EVENT_DATA,
  /** There is room for bytes from the host. */
  Space: abi.EVENT_SPACE,
  /** The guest has sent FIN. */
  Fin: abi.EVENT_FIN,
  /** Both sides have sent FIN. */
  Closed: abi.EVENT_CLOSED,
  /** The connection is gone: the guest reset it, or it timed out. */
  Reset: abi.EVENT_RESET,
} as const;

/** Counters of a stack, for status and tests. */
export interface StackStatistics {
  readonly flows: number;
  /** Bytes in use now, and the highest number so far. */
  readonly memoryInUse: number;
  readonly memoryPeak: number;
  readonly framesOut: number;
  readonly segmentedFramesOut: number;
  readonly outputErrors: number;
  readonly overQuota: number;
  readonly allocationFailures: number;
}

/** The TCP stack of one guest. All offsets are bytes in `memory`. */
export class Stack {
  readonly memory: ArrayBuffer;
  readonly bytes: Uint8Array;
  /** Pairs of flow id and event bits, filled by takeEvents(). */
  readonly events: Uint32Array;
  /** Where pending() writes its I/O vector, for sendmsg(2). */
  readonly iovOffset: number;
  /** The same vector: pairs of offset and length. */
  readonly iov: Uint32Array;
  readonly #exports: LwipExports;
  readonly #addresses: number;
  readonly #offload: boolean;
  #splitter: Splitter | null = null;

  constructor(options: StackOptions) {
    const exports = lwip.instantiate(options.transmit);
    this.#exports = exports;
    this.#offload = options.offload;
    this.memory = exports.memory.buffer;
    this.bytes = new Uint8Array(this.memory);
    exports.init(
      options.mtu,
      options.offload ? 1 : 0,
      options.memoryBudget,
      options.mac,
      options.seed[0],
      options.seed[1],
    );
    this.events = new Uint32Array(this.memory, exports.events_at(), 2 * abi.MAX_EVENTS);
    this.iovOffset = exports.iov_at();
    this.iov = new Uint32Array(this.memory, this.iovOffset, 2 * abi.MAX_IOV);
    this.#addresses = exports.addresses_at();
  }

  /** Where the next frame is to be read, virtio header first. */
  get buffer(): number {
    return this.#exports.buffer();
  }

  /** Size of that buffer, in bytes. */
  get bufferCapacity(): number {
    return abi.FRAME_CAPACITY;
  }

  /** Bytes in front of the Ethernet header in a buffer, also without a virtio header. */
  get headroom(): number {
    return abi.VNET_HEADER_SIZE;
  }

  /** Leaves the current buffer to the caller until giveBuffer(). @returns its offset; 0 when memory is short */
  takeBuffer(): number {
    return this.#exports.buffer_take();
  }

  giveBuffer(buffer: number): void {
    this.#exports.buffer_give(buffer);
  }

  /** Cuts frames in this stack's memory for a tunnel; it knows nothing of the stack's flows. */
  get splitter(): Splitter {
    this.#splitter ??= new Splitter(this.#exports, this.#offload);
    return this.#splitter;
  }

  /**
   * Processes the frame in the buffer.
   * @param length of headroom and frame, in bytes
   * @returns Input.Taken; Input.Pass: no TCP behind a plain IP header, and the frame is still in the buffer; or
   * a DropReason
   */
  input(length: number): number {
    const verdict = this.#exports.input(length);
    return verdict < 0 ? (DROP_REASONS[-verdict] ?? DropReason.TcpBadHeader) : verdict;
  }

  /** Fills `events`. Call it until it returns 0. @returns how many pairs, at most MAX_EVENTS */
  takeEvents(): number {
    const count = this.#exports.take_events();
    if (count > abi.MAX_EVENTS) throw new StackFault(`${count} events at once`);
    return count;
  }

  /** The flow of event `index` in `events`; below MAX_FLOWS. */
  flowOfEvent(index: number): number {
    return knownFlow(this.events[2 * index]);
  }

  tuple(id: number): FlowTuple {
    const family = this.#exports.flow_addresses(id);
    if (family !== 4 && family !== 6) throw new StackFault(`no flow ${id}`);
    const ports = this.#exports.flow_ports(id);
    return {
      guest: Address.read(this.bytes, this.#addresses, family),
      guestPort: ports >>> 16,
      peer: Address.read(this.bytes, this.#addresses + 16, family),
      peerPort: ports & 0xffff,
    };
  }

  /** The held SYN from its IP header on, a view of the memory; null when there is none. */
  heldSyn(id: number): Uint8Array | null {
    if (this.#exports.flow_syn(id) !== 1) return null;
    return this.bytes.subarray(this.iov[0], this.iov[0] + this.iov[1]);
  }

  /** DSCP and ECN of the held SYN; 0 when there is none. */
  heldTrafficClass(id: number): number {
    if (this.#exports.flow_syn(id) !== 1) return 0;
    const [at] = this.iov;
    const first = this.bytes[at];
    const second = this.bytes[at + 1];
    // RFC 791 §3.1; in IPv6 (RFC 8200 §3) the field spans two bytes.
    return first >>> 4 === 4 ? second : ((first & 0xf) << 4) | (second >>> 4);
  }

  /** The guest's Ethernet address. */
  guestMac(id: number): Mac {
    return this.#exports.flow_mac(id);
  }

  /** Frames received from the guest for a flow; a superframe counts as one. */
  framesFromGuest(id: number): number {
    return this.#exports.flow_frames_in(id);
  }

  /** Frames sent to the guest for a flow; a superframe counts as one. */
  framesToGuest(id: number): number {
    return this.#exports.flow_frames_out(id);
  }

  /** Answers the held SYN with SYN|ACK. @returns false when memory is short: the flow has ended */
  accept(id: number): boolean {
    return this.#exports.flow_accept(id) === 1;
  }

  /** Answers the held SYN with RST. */
  refuse(id: number): void {
    this.#exports.flow_refuse(id);
  }

  /**
   * Opens a connection to the guest, from the peer's address.
   * @returns the flow's id; -1 when the two ends have a flow already, or memory is short
   */
  connect(tuple: FlowTuple, mac: Mac): number {
    const family: Family = tuple.guest.family;
    tuple.guest.write(this.bytes, this.#addresses);
    tuple.peer.write(this.bytes, this.#addresses + 16);
    const ports = ((tuple.guestPort << 16) | tuple.peerPort) >>> 0;
    const id = this.#exports.flow_connect(family, ports, mac);
    return id < 0 ? -1 : knownFlow(id);
  }

  /**
   * Lowers the path MTU to the guest, after an ICMP error about the segment at `sequence`.
   * @param mtu in bytes of IP
   * @returns false when no such segment is in flight
   */
  updatePathMtu(tuple: FlowTuple, sequence: number, mtu: number): boolean {
    tuple.guest.write(this.bytes, this.#addresses);
    tuple.peer.write(this.bytes, this.#addresses + 16);
    const ports = ((tuple.guestPort << 16) | tuple.peerPort) >>> 0;
    return this.#exports.flow_update_path_mtu(tuple.guest.family, ports, sequence, mtu) === 1;
  }

  /** Writes the bytes that the host has not taken to the I/O vector. @returns how many pieces */
  pending(id: number): number {
    const count = this.#exports.flow_pending(id);
    if (count > abi.MAX_IOV) throw new StackFault(`${count} pieces`);
    return count;
  }

  /** Reports that the host took `length` bytes, possibly 0. Sends or defers the ACK of this batch. */
  consumed(id: number, length: number): void {
    this.#exports.flow_consumed(id, length);
  }

  /** @returns how many bytes may be received at `reservedAt`; 0: wait for Space; -1: memory is short, ask again */
  reserve(id: number): number {
    return this.#exports.flow_reserve(id);
  }

  get reservedAt(): number {
    return this.#exports.flow_reserved_at();
  }

  /** Reports that `length` bytes from the host were received at `reservedAt`. */
  commit(id: number, length: number): void {
    this.#exports.flow_commit(id, length);
  }

  /** Sends FIN behind everything committed: the host will send no more. */
  finish(id: number): void {
    this.#exports.flow_finish(id);
  }

  /** Sends RST to the guest. */
  reset(id: number): void {
    this.#exports.flow_reset(id);
  }

  /** Frees the id, which may be reused at once. */
  release(id: number): void {
    this.#exports.flow_release(id);
  }

  /**
   * Sends the ACKs that were deferred before the previous call and that no answer has carried since. Call it at
   * the end of every wake-up.
   * @returns whether ACKs are still deferred: call again within ACK_DELAY ms
   */
  flushAcks(): boolean {
    return this.#exports.flush_acks() === 1;
  }

  /** Whether there is any connection, except in TIME_WAIT. */
  get hasFlows(): boolean {
    return this.#exports.flow_count() > 0;
  }

  /** Runs the timers. Call it every TICK_INTERVAL ms while it returns true. */
  tick(): boolean {
    return this.#exports.tick() === 1;
  }

  statistics(): StackStatistics {
    const at = new Uint32Array(this.memory, this.#exports.stats(), abi.STAT_COUNT);
    return {
      flows: at[abi.STAT_FLOWS],
      memoryInUse: at[abi.STAT_BLOCKS_IN_USE] * at[abi.STAT_BLOCK_SIZE],
      memoryPeak: at[abi.STAT_BLOCKS_PEAK] * at[abi.STAT_BLOCK_SIZE],
      framesOut: at[abi.STAT_FRAMES_OUT],
      segmentedFramesOut: at[abi.STAT_SEGMENTED_OUT],
      outputErrors: at[abi.STAT_OUTPUT_ERRORS],
      overQuota: at[abi.STAT_OVER_QUOTA],
      allocationFailures: at[abi.STAT_ALLOCATION_FAILURES],
    };
  }
}

/** Most events of one wake-up: a flow may have several, as handling one may cause the next. */
export const MOST_EVENTS_AT_ONCE = 16 * abi.MAX_FLOWS;

/** Time between ticks, in ms: TCP_TMR_INTERVAL of wasm/src/lwipopts.h. */
export const TICK_INTERVAL = 100;

/** The longest time that an ACK waits for data to carry it, in ms; RFC 9293 §3.8.6.3 allows 500. */
export const ACK_DELAY = 1;

/** Checks an id from WASM, as others use it as an index. */
function knownFlow(id: number): number {
  if (id >= abi.MAX_FLOWS) throw new StackFault(`flow ${id}`);
  return id;
}
