import type { LwipExports } from "lwip-wasm";
import type { Mac } from "../base/mac.js";
import * as abi from "./abi.js";
import { StackFault } from "./fault.js";
import { dropReasonOf, type TunnelLayout } from "./tunnel-frames.js";

/** How a frame leaves: made once for each destination, not for each frame. */
export interface Encapsulation {
  readonly layout: TunnelLayout;
  /** VXLAN network identifier, 0..2^24-1; of no meaning in the layout Ip. */
  readonly vni: number;
  /** The longest inner IP packet, in bytes: a frame, or segment of one, that is longer is TunnelTooBig. */
  readonly mtu: number;
  /**
   * For a router, as flannel's hosts are: the segments get these MACs, and a TTL or hop limit that is lower by one.
   * null: both stay. In the layout Ip the MACs have no meaning.
   */
  readonly rewrite: { readonly destination: Mac; readonly source: Mac } | null;
}

/**
 * Most segments, and bytes of all of them, in one batch: what one send with UDP_SEGMENT takes. In the layout Ip the bytes
 * leave room for what WireGuard adds to each segment.
 */
export const MOST_SEGMENTS = abi.SPLIT_MOST;
export const MOST_SEGMENT_BYTES = abi.SPLIT_BYTES;
/** Pieces of each segment in the I/O vector: its headers, its payload (which may have no bytes). */
export const SEGMENT_PIECES = 2;
/** Bytes in front of each segment's first piece that the caller may write to. */
export const SEGMENT_ROOM = abi.SPLIT_ROOM;
/** Bytes at `tableOffset` and at `batchOffset`. */
export const TABLE_SPACE = abi.SPLIT_TABLE;
export const BATCH_SPACE = abi.SPLIT_BATCH;

/**
 * Cuts frames that lie in a stack's memory into datagrams for a tunnel. The headers of each segment are written, the
 * payload stays where it is; lengths, IPv4 identification, TCP sequence numbers and flags, and all checksums are as a
 * network card would write them. The frame itself is not changed, so it may be cut again for another destination.
 *
 *     let segments = splitter.split(at, length, encapsulation);
 *     if (segments < 0) return drops.count(segments);
 *     for (; segments > 0; segments = splitter.next()) {
 *       // one sendmsg of 2 × segments pieces at iovOffset, with UDP_SEGMENT = splitter.size if segments > 1
 *     }
 *
 * Segments are valid until the next call of split() or next(). All of a batch have `size` bytes, but the last one of
 * a frame, which has `lastSize`. Get one by `Stack.splitter`.
 */
export class Splitter {
  /** Where the I/O vector of the segments is: SEGMENT_PIECES pairs of u32 (offset, length) for each. */
  readonly iovOffset: number;
  readonly iov: Uint32Array;
  /** TABLE_SPACE bytes for whatever the caller's send needs beside the vector: names, control data. Aligned to 16. */
  readonly tableOffset: number;
  /**
   * BATCH_SPACE bytes of the caller's, untouched by split(): single datagrams of one size for one host, copied here
   * one behind the other, leave as one piece by one send.
   */
  readonly batchOffset: number;
  readonly #exports: LwipExports;
  readonly #hasVnet: number;
  readonly #result: Uint32Array;

  /** @param hasVnet whether frames have a virtio header; without one they are taken as they are */
  constructor(exports: LwipExports, hasVnet: boolean) {
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.#hasVnet = hasVnet ? abi.TUNNEL_VNET : 0;
    this.iovOffset = exports.split_iov_at();
    this.iov = new Uint32Array(buffer, this.iovOffset, 2 * SEGMENT_PIECES * MOST_SEGMENTS);
    this.tableOffset = exports.split_table_at();
    this.batchOffset = exports.split_batch_at();
    this.#result = new Uint32Array(buffer, exports.split_result_at(), abi.SPLIT_WORDS);
  }

  /**
   * Cuts a frame, or makes one segment of it when it needs no cut.
   * @param ethernet offset of the Ethernet header; the virtio header, if any, is in the 10 bytes in front of it
   * @param length of the frame in bytes, from there
   * @returns segments of the first batch, 1..MOST_SEGMENTS, or a DropReason: TunnelTooBig and IpHopLimit may be
   * answered by an ICMP error
   */
  split(ethernet: number, length: number, encapsulation: Encapsulation): number {
    const { layout, vni, mtu, rewrite } = encapsulation;
    const flags = this.#hasVnet | layout | (rewrite === null ? 0 : abi.TUNNEL_ROUTED);
    const { destination, source } = rewrite ?? NO_REWRITE;
    const segments = this.#exports.split(ethernet, length, flags, vni, mtu, destination, source);
    return segments < 0 ? dropReasonOf(segments) : checked(segments);
  }

  /** The next batch of the same frame. @returns its segments; 0: there are no more */
  next(): number {
    return checked(this.#exports.split_next());
  }

  /** Bytes of each segment but the last of the frame. */
  get size(): number {
    return this.#result[abi.SPLIT_SIZE];
  }

  /** Bytes of the last segment of this batch, 1..size. */
  get lastSize(): number {
    return this.#result[abi.SPLIT_LAST_SIZE];
  }

  /** DSCP and ECN of the inner packet, for the outer header (RFC 6040 §4.1); 0 when it is not IP. */
  get trafficClass(): number {
    return this.#result[abi.SPLIT_CLASS];
  }

  /** Payload of the frame, in bytes, that later batches have: 0 when this is the last. */
  get left(): number {
    return this.#result[abi.SPLIT_LEFT];
  }

  /** Whether the frame was a superframe. */
  get isSuperframe(): boolean {
    return this.#result[abi.SPLIT_IS_GSO] === 1;
  }
}

const NO_REWRITE = { destination: 0, source: 0 };

function checked(segments: number): number {
  if (segments > MOST_SEGMENTS || segments < 0) throw new StackFault(`${segments} segments`);
  return segments;
}
