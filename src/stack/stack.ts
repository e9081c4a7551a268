import lwip, { type LwipExports } from "lwip-wasm";
import { Address, type Family } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import * as abi from "./abi.js";

export interface StackOptions {
  /** Of the guest's interface, bytes of IP, 68..65521. */
  readonly mtu: number;
  /** Whether the TAP has a virtio header, so that the kernel checksums and segments. */
  readonly offload: boolean;
  /** The gateway's Ethernet address. */
  readonly mac: Mac;
  /** Most bytes of memory in use. */
  readonly memoryBudget: number;
  /** Two random words: nobody in the guest may know them. */
  readonly seed: Uint32Array;
  /**
   * Writes a frame to the TAP: `count` pieces, pairs of u32 (offset, length), at `pieces`. Called
   * while the stack is at work: it must not call back.
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

/** WASM said something that cannot be: this guest's stack is not to be used any more. */
export class StackFault extends Error {}

/** ABI_DROP_… as the drop reasons that everybody counts by, indexed by the negated number. */
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

/** What input() made of a frame when it was not dropped. */
export const Input = { Taken: abi.INPUT_TAKEN, Pass: abi.INPUT_PASS } as const;

/** Events of a flow, ORed. */
export const FlowEvent = {
  /** A SYN of the guest is held: accept, refuse or release it. */
  Syn: abi.EVENT_SYN,
  /** The guest's side is established. */
  Open: abi.EVENT_OPEN,
  /** Bytes of the guest wait for the host. */
  Data: abi.EVENT_DATA,
  /** Room for bytes of the host. */
  Space: abi.EVENT_SPACE,
  /** The guest will send no more. */
  Fin: abi.EVENT_FIN,
  /** Both directions have ended in order. */
  Closed: abi.EVENT_CLOSED,
  /** The connection is gone: reset by the guest, or timed out. */
  Reset: abi.EVENT_RESET,
} as const;

/** Figures of a stack, for status and tests. */
export interface StackStatistics {
  readonly flows: number;
  /** In bytes, as is the most that was in use at once. */
  readonly memoryInUse: number;
  readonly memoryPeak: number;
  readonly framesOut: number;
  readonly segmentedFramesOut: number;
  readonly outputErrors: number;
  readonly overQuota: number;
  readonly allocationFailures: number;
}

/** One guest's TCP. All offsets are bytes in `memory`. */
export class Stack {
  readonly memory: ArrayBuffer;
  readonly bytes: Uint8Array;
  /** Pairs of flow id and event bits, valid after takeEvents(). */
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

  /** Where the next frame is to be read to, its virtio header first. */
  get buffer(): number {
    return this.#exports.buffer();
  }

  /** Bytes that may be read there. */
  get bufferCapacity(): number {
    return abi.FRAME_CAPACITY;
  }

  /** Bytes before the Ethernet header in a buffer, whether the TAP fills them or not. */
  get headroom(): number {
    return abi.VNET_HEADER_SIZE;
  }

  /** Keeps the current buffer for the caller; 0 when memory is short. */
  takeBuffer(): number {
    return this.#exports.buffer_take();
  }

  giveBuffer(buffer: number): void {
    this.#exports.buffer_give(buffer);
  }

  /**
   * Processes the frame in the buffer.
   * @param length with the headroom
   * @returns Input.Taken, Input.Pass (not TCP behind a plain IP header: it is still in the buffer), or why it was dropped
   */
  input(length: number): number {
    const verdict = this.#exports.input(length);
    return verdict < 0 ? (DROP_REASONS[-verdict] ?? DropReason.TcpBadHeader) : verdict;
  }

  /** Fills `events`; returns how many pairs, at most MAX_EVENTS: ask again until 0. */
  takeEvents(): number {
    const count = this.#exports.take_events();
    if (count > abi.MAX_EVENTS) throw new StackFault(`${count} events at once`);
    return count;
  }

  /** The flow of an event that takeEvents() gave, by its place; below MAX_FLOWS. */
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
    // RFC 791 §3.1, RFC 8200 §3: in IPv6 it stands across two bytes.
    return first >>> 4 === 4 ? second : ((first & 0xf) << 4) | (second >>> 4);
  }

  /** The guest's Ethernet address of a flow. */
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

  /** Opens a connection to the guest, as if from the peer. The id, or -1. */
  connect(tuple: FlowTuple, mac: Mac): number {
    const family: Family = tuple.guest.family;
    tuple.guest.write(this.bytes, this.#addresses);
    tuple.peer.write(this.bytes, this.#addresses + 16);
    const ports = ((tuple.guestPort << 16) | tuple.peerPort) >>> 0;
    const id = this.#exports.flow_connect(family, ports, mac);
    return id < 0 ? -1 : knownFlow(id);
  }

  /**
   * A router in front of the guest takes packets of `mtu` bytes at most, and has said so about the
   * segment at `sequence`. False when no such segment is under way.
   */
  updatePathMtu(tuple: FlowTuple, sequence: number, mtu: number): boolean {
    tuple.guest.write(this.bytes, this.#addresses);
    tuple.peer.write(this.bytes, this.#addresses + 16);
    const ports = ((tuple.guestPort << 16) | tuple.peerPort) >>> 0;
    return this.#exports.flow_update_path_mtu(tuple.guest.family, ports, sequence, mtu) === 1;
  }

  /** Pieces in the I/O vector of what the guest has sent and the host has not taken. */
  pending(id: number): number {
    const count = this.#exports.flow_pending(id);
    if (count > abi.MAX_IOV) throw new StackFault(`${count} pieces`);
    return count;
  }

  /** The host took `length` bytes, possibly 0. Sends the ACK of this batch. */
  consumed(id: number, length: number): void {
    this.#exports.flow_consumed(id, length);
  }

  /** Bytes that may be received at `reservedAt`; 0: wait for Space; -1: memory is short. */
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

  /** The host will send no more: FIN after all that was committed. */
  finish(id: number): void {
    this.#exports.flow_finish(id);
  }

  /** RST to the guest. */
  reset(id: number): void {
    this.#exports.flow_reset(id);
  }

  /** Frees the id; it may come again at once. */
  release(id: number): void {
    this.#exports.flow_release(id);
  }

  /**
   * Sends the ACKs put off before the last call that no answer has carried meanwhile; to be called
   * at the end of every wake-up.
   * @returns whether others are put off: the next call should come within ACK_DELAY ms
   */
  flushAcks(): boolean {
    return this.#exports.flush_acks() === 1;
  }

  /** Whether the stack knows of any connection, TIME_WAIT aside. */
  get hasFlows(): boolean {
    return this.#exports.flow_count() > 0;
  }

  /** Runs the timers; to be called every TICK_INTERVAL ms while it returns true. */
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
 * More events than a stack can have to tell at once: one may tell several of each flow, as what we
 * do on the first makes the next.
 */
export const MOST_EVENTS_AT_ONCE = 16 * abi.MAX_FLOWS;

/** Milliseconds between ticks: TCP_TMR_INTERVAL of wasm/src/lwipopts.h. */
export const TICK_INTERVAL = 100;

/** Longest time, in ms, that an ACK waits for an answer to ride on: far below RFC 9293's 500. */
export const ACK_DELAY = 1;

/** An id of WASM's, which others keep tables by. */
function knownFlow(id: number): number {
  if (id >= abi.MAX_FLOWS) throw new StackFault(`flow ${id}`);
  return id;
}
