import { FRAMING_LOST } from "../frames/frame-stream.js";
import type { SwitchPort } from "../network/switch.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import type { DataPath } from "./data-path.js";
import type { Ingress } from "./ingress.js";
import type { TapHandle } from "./tap-handle.js";

/** Frames, and bytes, read from the TAP before the host sockets have their turn. */
const BATCH = 64;
const BATCH_BYTES = 512 * 1024;
/** The same while requests and answers pass beside. */
const SHORT_BATCH_BYTES = 128 * 1024;

/**
 * What a frame for other members costs of a batch while several guests want something. The switch writes it at
 * once, which takes some 5 µs and 5 more for each 16 KiB (measured): a long batch gains nothing, and others wait.
 */
const SWITCHED_COST = 8;
const SWITCHED_BYTES_SHIFT = 11;

/** What a frame for the gateway costs then: a batch has few of them, as each may have to open a socket. */
const GATEWAY_COST = 16;

/** A guest that sends more bytes than this in so many ms moves bulk, even if its TAP is empty in between. */
const BULK_BYTES = 256 * 1024;
const BULK_TIME = 4;

/**
 * While frames come one by one, a wake-up reads one frame and leaves out the read that would find the TAP empty:
 * epoll is level-triggered here and reports what is left. After so many such wake-ups a whole batch is tried again.
 */
const SINGLE_READS = 8;

/**
 * Reads a guest's frames in batches. Those for other members go to the switch, the others to the guest's own
 * ingress. Tells how much the guest sends, which decides when the loop reads its TAP.
 */
export class TapReader {
  readonly #tap: TapHandle;
  readonly #token: number;
  /** Of a network's switch; null: the guest is alone. */
  readonly #port: SwitchPort | null;
  /** Bytes for the gateway since takeMoved(), and for other members since takeSwitched(). */
  #moved = 0;
  #switched = 0;
  /** Whether the last batch ended before the TAP was empty, and when the guest was last heavy, in ms. */
  #leftFrames = false;
  #heavyAt = Number.NEGATIVE_INFINITY;
  /** Bytes read since #countedSince, in ms, and whether those of the period before were bulk. */
  #counted = 0;
  #countedSince = 0;
  #movesBulk = false;
  /** Wake-ups left that read a single frame. */
  #singleReads = 0;
  /** What epoll reports: frames, unless the guest rests; and room in a stream that had none. */
  #wanted: number = Epoll.In;
  #awaitsRoom = false;

  /** @param guest index of the guest in tokens @param port takes the frames for other members */
  constructor(tap: TapHandle, guest: number, port: SwitchPort | null) {
    this.#tap = tap;
    this.#token = tokenOf(TokenKind.Tap, guest, 0);
    this.#port = port;
  }

  /** Has epoll report frames. Called again when another descriptor stands behind that of the TAP. */
  watch(): void {
    this.#awaitsRoom = false;
    native.watch(this.#tap.fd, this.#wanted, this.#token);
  }

  /** @param wanted whether epoll reports frames; it reports a deleted TAP in any case */
  setWanted(wanted: boolean): void {
    this.#wanted = wanted ? Epoll.In : 0;
    this.#rewatch();
  }

  #rewatch(): void {
    const room = this.#awaitsRoom ? Epoll.Out : 0;
    native.rewatch(this.#tap.fd, this.#wanted | room, this.#token);
  }

  /**
   * Sends what has been accepted for a stream.
   * @param hasRoom whether it may have room again, if it had none
   */
  flush({ stream }: DataPath, hasRoom: boolean): void {
    if (stream === null) return;
    stream.flush(hasRoom);
    if (stream.isBlocked === this.#awaitsRoom) return;
    this.#awaitsRoom = stream.isBlocked;
    this.#rewatch();
  }

  /** Bytes for the gateway since takeMoved(). */
  get moved(): number {
    return this.#moved;
  }

  /** Bytes for the gateway since the last call. */
  takeMoved(): number {
    const moved = this.#moved;
    this.#moved = 0;
    return moved;
  }

  /** Bytes that crossed to other members since the last call, or were refused. */
  takeSwitched(): number {
    const switched = this.#switched;
    this.#switched = 0;
    return switched;
  }

  /** Whether the guest moves bulk, or the last batch ended before the TAP was empty. */
  get isHeavy(): boolean {
    return this.#leftFrames || this.#movesBulk;
  }

  /** Whether neither the guest nor the member that it sends to has been heavy since then, in ms. */
  isModest(since: number): boolean {
    return this.#heavyAt < since && (this.#port === null || this.#port.partnerHeavyAt < since);
  }

  /**
   * Reads a batch.
   * @param isShared whether other guests want something, too: the batch is shorter then
   * @returns 0, or a negative errno of the TAP
   */
  read(path: DataPath, ingress: Ingress, now: number, isShared: boolean): number {
    const result = this.#readBatch(path, ingress, now, isShared);
    if (now - this.#countedSince >= BULK_TIME) this.#countBulk(now);
    if (this.isHeavy) this.#noteHeavy(now);
    return result;
  }

  #readBatch(path: DataPath, ingress: Ingress, now: number, isShared: boolean): number {
    const { stack, capture, memory, stream } = path;
    const { fd } = this.#tap;
    const port = this.#port;
    const start = stack.headroom - path.frameHeader;
    const limit = this.#singleReads > 0 ? 1 : BATCH;
    const most = path.tcp.hasConversations ? SHORT_BATCH_BYTES : BATCH_BYTES;
    this.#leftFrames = false;
    for (let count = 0, cost = 0, bytes = 0; cost < limit && bytes < most; count += 1) {
      const buffer = stack.buffer + start;
      const length =
        stream === null
          ? native.read(fd, memory, buffer, stack.bufferCapacity - start)
          : stream.next(buffer);
      if (length <= 0) {
        // A stream knows by itself when it is empty.
        if (count <= 1 && stream === null) this.#singleReads = SINGLE_READS;
        return this.#onNoFrame(path, length);
      }
      bytes += length;
      this.#counted += length;
      capture?.received(buffer, length);
      if (port !== null && !port.take(buffer, length, now)) {
        this.#switched += length;
        cost += isShared ? SWITCHED_COST + (length >> SWITCHED_BYTES_SHIFT) : 1;
      } else {
        cost += isShared ? GATEWAY_COST : 1;
        this.#moved += length;
        ingress.onFrame(start + length, now);
      }
      capture?.settle();
    }
    if (this.#singleReads > 0) this.#singleReads -= 1;
    else this.#leftFrames = true;
    return 0;
  }

  /** @param result of a read: 0 or a negative errno */
  #onNoFrame({ stream }: DataPath, result: number): number {
    if (result !== 0 && result !== -Errno.ECONNRESET && result !== FRAMING_LOST) return result;
    stream?.reset();
    this.#tap.onEnd?.(result === FRAMING_LOST);
    return 0;
  }

  #countBulk(now: number): void {
    this.#movesBulk = this.#counted > BULK_BYTES && now - this.#countedSince < 2 * BULK_TIME;
    this.#counted = 0;
    this.#countedSince = now;
  }

  #noteHeavy(now: number): void {
    this.#heavyAt = now;
    if (this.#port !== null) this.#port.heavyAt = now;
  }
}
