import lwip, { type LwipExports } from "lwip-wasm";
import { Address, type Family } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import * as abi from "./abi.js";

export interface StackOptions {
  /** Of the guest's interface, in bytes of IP, 68..65521. */
  readonly mtu: number;
  /** Whether the TAP has a virtio header, so that the kernel checksums and segments. */
  readonly offload: boolean;
  /** The gateway's Ethernet address. */
  readonly mac: Mac;
  /** Most bytes of memory in use. */
  readonly memoryBudget: number;
  /** Two random words, which nobody in the guest may know. */
  readonly seed: Uint32Array;
  /**
   * Writes a frame to the TAP: `count` pieces, pairs of u32 (offset, length), at `pieces`. The stack
   * calls it while it works: it must not call the stack.
   * @returns >= 0, or a negative errno: the segment is kept and sent later
   */
  readonly transmit: (pieces: number, count: number) => number;
}

/** The two ends of a flow as the guest sees them. */
export interface FlowTuple {
  readonly guest: Address;
  readonly guestPort: number;
  /** Whom the guest talks to. */
  readonly peer: Address;
  readonly peerPort: number;
}

/** WASM returned something impossible: this guest's stack must not be used any more. */
export class StackFault extends Error {}

/** The drop reasons of ABI_DROP_…, indexed by the negated number. */
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

/** What input() returns for a frame that was not dropped. */
export const Input = { Taken: abi.INPUT_TAKEN, Pass: abi.INPUT_PASS } as const;

/** Events of a flow, ORed. */
export const FlowEvent = {
  /** A SYN of the guest is held: accept, refuse or release the flow. */
  Syn: abi.EVENT_SYN,
  /** The guest's side is established. */
  Open: abi.EVENT_OPEN,
  /** Bytes of the guest wait for the host. */
  Data: abi.EVENT_DATA,
  /** Room for bytes of the host. */
  Space: abi.EVENT_SPACE,
  /** The guest will send no more. */
  Fin: abi.EVENT_FIN,
  /** Both ends have sent FIN. */
  Closed: abi.EVENT_CLOSED,
  /** The connection is gone: reset by the guest, or timed out. */
  Reset: abi.EVENT_RESET,
} as const;

/** Figures of a stack, for status and tests. */
export interface StackStatistics {
  readonly flows: number;
  /** Bytes in use, and the most bytes that were in use at once. */
  readonly memoryInUse: number;
  readonly memoryPeak: number;
  readonly framesOut: number;
  readonly segmentedFramesOut: number;
  readonly outputErrors: number;
  readonly overQuota: number;
  readonly allocationFailures: number;
}

/** The TCP of one guest. All offsets are bytes in `memory`. */
export class Stack {
  readonly memory: ArrayBuffer;
  readonly bytes: Uint8Array;
  /** Pairs of flow id and event bits, as takeEvents() leaves them. */
  readonly events: Uint32Array;
  /** Where pending() leaves its I/O vector, for sendmsg. */
  readonly iovOffset: number;
  /** That vector: pairs of offset and length. */
  readonly iov: Uint32Array;
  readonly #exports: LwipExports;
  readonly #addresses: number;

  constructor(options: StackOptions) {
    const exports = lwip.instantiate(options.transmit);
    this.#exports = exports;
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

  /** Where to read the next frame to, its virtio header first. */
  get buffer(): number {
    return this.#exports.buffer();
  }

  /** Bytes that may be read there. */
  get bufferCapacity(): number {
    return abi.FRAME_CAPACITY;
  }

  /** Bytes in front of the Ethernet header in a buffer, whether the TAP fills them or not. */
  get headroom(): number {
    return abi.VNET_HEADER_SIZE;
  }

  /** Leaves the current buffer to the caller, until giveBuffer(); 0 when memory is short. */
  takeBuffer(): number {
    return this.#exports.buffer_take();
  }

  giveBuffer(buffer: number): void {
    this.#exports.buffer_give(buffer);
  }

  /**
   * Processes the frame in the buffer.
   * @param length bytes, headroom included
   * @returns Input.Taken, Input.Pass (not TCP behind a plain IP header; the frame is still in the buffer), or a DropReason
   */
  input(length: number): number {
    const verdict = this.#exports.input(length);
    return verdict < 0 ? (DROP_REASONS[-verdict] ?? DropReason.TcpBadHeader) : verdict;
  }

  /** Fills `events`; returns how many pairs, at most MAX_EVENTS. Call it until it returns 0. */
  takeEvents(): number {
    const count = this.#exports.take_events();
    if (count > abi.MAX_EVENTS) throw new StackFault(`${count} events at once`);
    return count;
  }

  /** The flow of the event at `index` of those that takeEvents() has left; below MAX_FLOWS. */
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

  /** The held SYN from its IP header on, as a view of the memory; null when there is none. */
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

  /** The Ethernet address of the flow's guest. */
  guestMac(id: number): Mac {
    return this.#exports.flow_mac(id);
  }

  /** Frames that the guest has sent for a flow; a superframe is one. */
  framesFromGuest(id: number): number {
    return this.#exports.flow_frames_in(id);
  }

  /** Frames of a flow that went to the guest; a superframe is one. */
  framesToGuest(id: number): number {
    return this.#exports.flow_frames_out(id);
  }

  /** Answers the held SYN with SYN|ACK. False when memory was short: the flow is over. */
  accept(id: number): boolean {
    return this.#exports.flow_accept(id) === 1;
  }

  /** Answers the held SYN with RST. */
  refuse(id: number): void {
    this.#exports.flow_refuse(id);
  }

  /** Opens a connection to the guest, as if from the peer. The id; -1 when the two ends have a flow, or memory is short. */
  connect(tuple: FlowTuple, mac: Mac): number {
    const family: Family = tuple.guest.family;
    tuple.guest.write(this.bytes, this.#addresses);
    tuple.peer.write(this.bytes, this.#addresses + 16);
    const ports = ((tuple.guestPort << 16) | tuple.peerPort) >>> 0;
    const id = this.#exports.flow_connect(family, ports, mac);
    return id < 0 ? -1 : knownFlow(id);
  }

  /**
   * A router in front of the guest has said, about the segment at `sequence`, that it takes packets of
   * `mtu` bytes at most. False when no such segment is in flight.
   */
  updatePathMtu(tuple: FlowTuple, sequence: number, mtu: number): boolean {
    tuple.guest.write(this.bytes, this.#addresses);
    tuple.peer.write(this.bytes, this.#addresses + 16);
    const ports = ((tuple.guestPort << 16) | tuple.peerPort) >>> 0;
    return this.#exports.flow_update_path_mtu(tuple.guest.family, ports, sequence, mtu) === 1;
  }

  /** Leaves the bytes that the host has not taken in the I/O vector; returns how many pieces. */
  pending(id: number): number {
    const count = this.#exports.flow_pending(id);
    if (count > abi.MAX_IOV) throw new StackFault(`${count} pieces`);
    return count;
  }

  /** The host took `length` bytes, possibly 0. Sends or defers the ACK of this batch. */
  consumed(id: number, length: number): void {
    this.#exports.flow_consumed(id, length);
  }

  /** Bytes that may be received at `reservedAt`; 0: wait for Space; -1: memory is short, ask again. */
  reserve(id: number): number {
    return this.#exports.flow_reserve(id);
  }

  get reservedAt(): number {
    return this.#exports.flow_reserved_at();
  }

  /** `length` bytes of the host were received there. */
  commit(id: number, length: number): void {
    this.#exports.flow_commit(id, length);
  }

  /** The host will send no more: FIN behind all that was committed. */
  finish(id: number): void {
    this.#exports.flow_finish(id);
  }

  /** RST to the guest. */
  reset(id: number): void {
    this.#exports.flow_reset(id);
  }

  /** Frees the id, which may be used again at once. */
  release(id: number): void {
    this.#exports.flow_release(id);
  }

  /**
   * Sends the ACKs that were deferred before the last call and that no answer has carried since. Call it
   * at the end of every wake-up.
   * @returns whether other ACKs are deferred: call again within ACK_DELAY ms
   */
  flushAcks(): boolean {
    return this.#exports.flush_acks() === 1;
  }

  /** Whether the stack knows of any connection, TIME_WAIT aside. */
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

/**
 * More events than a stack can report at once; a flow may have several, as the reaction to one may
 * cause the next.
 */
export const MOST_EVENTS_AT_ONCE = 16 * abi.MAX_FLOWS;

/** Milliseconds between ticks: TCP_TMR_INTERVAL of wasm/src/lwipopts.h. */
export const TICK_INTERVAL = 100;

/** The longest time, in ms, that an ACK waits for an answer to ride on; RFC 9293 §3.8.6.3 allows 500. */
export const ACK_DELAY = 1;

/** An id from WASM, which others index tables with. */
function knownFlow(id: number): number {
  if (id >= abi.MAX_FLOWS) throw new StackFault(`flow ${id}`);
  return id;
}
