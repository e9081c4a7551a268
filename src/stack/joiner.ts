import lwip, { type LwipExports } from "lwip-wasm";
import type { DropCounters } from "../base/drop.js";
import * as abi from "./abi.js";
import { StackFault } from "./fault.js";
import { receivedDropReasonOf, type TunnelLayout } from "./tunnel-frames.js";

/** Most datagrams of one join(). */
export const MOST_DATAGRAMS = abi.JOIN_MOST;

/** How frames of one kind of tunnel are made for TAPs of one kind: an object for many calls. */
export interface JoinOptions {
  readonly layout: TunnelLayout;
  /**
   * Whether the TAPs have a virtio header (IFF_VNET_HDR) and take superframes of TCP; without, frames are not joined.
   */
  readonly offload: boolean;
  /** Whether they take those of UDP, too (TUN_F_USO4 and 6). */
  readonly udpOffload: boolean;
  /**
   * For a router, as flannel's hosts are: TTL and hop limit are lowered by one. A packet that would not be forwarded
   * comes as a frame of its own with isExpired() true, its TTL unchanged.
   */
  readonly routed: boolean;
}

/**
 * Makes frames for TAPs of what a tunnel has received: neighbours in one TCP flow become one superframe, as the
 * kernel's GRO would make it, and the checksums inside are verified. It has an instance of WebAssembly of its own, into
 * whose memory the tunnel's sockets receive.
 *
 *     joiner.clear();
 *     joiner.addReceived(offset, length, segmentSize, trafficClass);
 *     const frames = joiner.join(options);
 *     for (let index = 0; index < frames; index += 1) {
 *       // look at bytes[joiner.ethernetAt(index)…], joiner.headerLength(index) of them are contiguous; then
 *       // native.writev(tap, memory, joiner.iovAt(index), joiner.iovCount(index))
 *     }
 *     joiner.countRefused(drops);
 *
 * Datagrams of one join() must come from one host: they may be joined across all of them. Frames are valid until the
 * next join(); their payload lies in the datagrams.
 */
export class Joiner {
  readonly memory: ArrayBuffer;
  readonly bytes: Uint8Array;
  /** From here to the end of `memory` all is the owner's: buffers to receive into, tables. Aligned to 64. */
  readonly arena: number;
  readonly #exports: LwipExports;
  readonly #input: Uint32Array;
  readonly #frames: Uint32Array;
  readonly #refusals: Uint32Array;
  #count = 0;

  constructor() {
    const exports = lwip.instantiate(() => 0);
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.memory = buffer;
    this.bytes = new Uint8Array(buffer);
    this.arena = exports.join_arena_at();
    const words = abi.JOIN_INPUT_WORDS * abi.JOIN_MOST;
    this.#input = new Uint32Array(buffer, exports.join_input_at(), words);
    const frameWords = abi.JOIN_FRAME_WORDS * abi.JOIN_MOST;
    this.#frames = new Uint32Array(buffer, exports.join_frames_at(), frameWords);
    this.#refusals = new Uint32Array(buffer, exports.join_refusals_at(), abi.REFUSED_COUNT);
  }

  /** Forgets the datagrams that were added. */
  clear(): void {
    this.#count = 0;
  }

  /** How many datagrams were added since clear(). */
  get count(): number {
    return this.#count;
  }

  /**
   * Adds one datagram: a VXLAN header and frame, or an IP packet (with or without padding behind it).
   * @param trafficClass of the outer header (RFC 6040 §4.2)
   * @returns false when there are MOST_DATAGRAMS already
   */
  add(offset: number, length: number, trafficClass: number): boolean {
    if (this.#count === MOST_DATAGRAMS) return false;
    const at = this.#count * abi.JOIN_INPUT_WORDS;
    this.#input[at] = offset;
    this.#input[at + 1] = length;
    this.#input[at + 2] = trafficClass;
    this.#count += 1;
    return true;
  }

  /**
   * Adds what one recvmsg with UDP_GRO has received.
   * @param length of all datagrams together
   * @param size of each but the last, in bytes; 0: it is a single one
   * @returns bytes that found no place, from the end: add them after a join()
   */
  addReceived(offset: number, length: number, size: number, trafficClass: number): number {
    const step = size === 0 ? length : size;
    let done = 0;
    while (done < length && this.add(offset + done, Math.min(step, length - done), trafficClass)) {
      done += step;
    }
    return Math.max(0, length - done);
  }

  /** @returns how many frames were made of the datagrams, at most as many as these */
  join(options: JoinOptions): number {
    const frames = this.#exports.join(this.#count, flagsOf(options));
    if (frames > this.#count) throw new StackFault(`${frames} frames of ${this.#count} datagrams`);
    return frames;
  }

  /** Counts each datagram that became no frame by its reason. */
  countRefused(drops: DropCounters): void {
    if (this.#refusals[0] === 0) return;
    for (let reason = 1; reason < abi.REFUSED_COUNT; reason += 1) {
      for (let left = this.#refusals[reason]; left > 0; left -= 1) {
        drops.count(receivedDropReasonOf(-reason));
      }
    }
  }

  /** Where the frame's I/O vector is, for writev: its first piece is the block of headers. */
  iovAt(frame: number): number {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_IOV];
  }

  iovCount(frame: number): number {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_IOV_COUNT];
  }

  /**
   * Offset of the Ethernet header, in front of which the virtio header is. In the layout Ip the caller writes both
   * MACs, 12 bytes, there.
   */
  ethernetAt(frame: number): number {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_ETHERNET];
  }

  /**
   * Contiguous bytes from the Ethernet header on, at least all headers of a TCP or UDP frame; of a frame that is neither,
   * its first 246. May be rewritten in place.
   */
  headerLength(frame: number): number {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_HEADER_SIZE];
  }

  /** Bytes of the frame from its Ethernet header on, without the virtio header. */
  length(frame: number): number {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_LENGTH];
  }

  /** VXLAN network identifier of its datagrams; 0 in the layout Ip. */
  vni(frame: number): number {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_VNI];
  }

  /** How many datagrams it was made of. */
  datagrams(frame: number): number {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_DATAGRAMS];
  }

  /** Whether its TTL or hop limit does not let a router forward it. */
  isExpired(frame: number): boolean {
    return this.#frames[frame * abi.JOIN_FRAME_WORDS + abi.JOIN_IS_EXPIRED] === 1;
  }
}

function flagsOf({ layout, offload, udpOffload, routed }: JoinOptions): number {
  return (
    layout |
    (offload ? abi.TUNNEL_VNET : 0) |
    (udpOffload ? abi.TUNNEL_USO : 0) |
    (routed ? abi.TUNNEL_ROUTED : 0)
  );
}
