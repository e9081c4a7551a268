import { Address } from "../../src/base/address.js";
import { FlowEvent, Stack, TICK_INTERVAL } from "../../src/stack/stack.js";

const MAC = 0x525500000002;
/** Frames that are read before their data is passed on: 512 KiB of superframes (src/guest/tap-reader.ts). */
const BATCH = 8;
const USUAL_BUDGET = 64 * 1024 * 1024;

export interface NetsimOptions {
  readonly mtu: number;
  readonly offload: boolean;
  /** Of `b`, in bytes; `a` always has the usual budget of a guest. */
  readonly memoryBudget?: number;
  readonly family?: 4 | 6;
  /** Whether the n-th frame (from 0, both directions counted together) is lost. */
  readonly loses?: (n: number) => boolean;
}

/** One side of the wire: does what a relay and its host socket do, with arrays. */
export class Endpoint {
  readonly stack: Stack;
  readonly outbox: Uint8Array[] = [];
  readonly received: Uint8Array[] = [];
  id = -1;
  /** All events so far, ORed. */
  seen = 0;
  /** While false, the hosts take nothing: stalled peers. */
  reading = true;
  /** Flows whose hosts take nothing in any case. */
  readonly stalled = new Set<number>();

  constructor(options: NetsimOptions) {
    this.stack = new Stack({
      mtu: options.mtu,
      offload: options.offload,
      mac: MAC,
      seed: Uint32Array.of(1, 2),
      memoryBudget: options.memoryBudget ?? USUAL_BUDGET,
      transmit: (pieces, count) => this.#transmit(pieces, count),
    });
    this.#headroom = options.offload ? 0 : this.stack.headroom;
  }

  readonly #headroom: number;

  /** What has been received, as one array. */
  get data(): Buffer {
    return Buffer.concat(this.received);
  }

  input(frame: Uint8Array): number {
    const { stack } = this;
    stack.bytes.set(frame, stack.buffer + this.#headroom);
    return stack.input(this.#headroom + frame.length);
  }

  /** Offers bytes to the guest side; returns how many were taken. */
  write(bytes: Uint8Array): number {
    const { stack, id } = this;
    const room = Math.min(stack.reserve(id), bytes.length);
    if (room <= 0) return 0;
    stack.bytes.set(bytes.subarray(0, room), stack.reservedAt);
    stack.commit(id, room);
    return room;
  }

  drainEvents(): void {
    const { stack } = this;
    for (let count = stack.takeEvents(); count > 0; count = stack.takeEvents()) {
      for (let index = 0; index < count; index += 1) {
        this.#onEvents(stack.events[2 * index], stack.events[2 * index + 1]);
      }
    }
  }

  /** Takes what waits, if the host reads. */
  read(id = this.id): void {
    const { stack } = this;
    const reads = this.reading && !this.stalled.has(id);
    let taken = 0;
    for (let pieces = reads ? stack.pending(id) : 0; pieces > 0; pieces = stack.pending(id)) {
      taken = 0;
      for (let piece = 0; piece < pieces; piece += 1) {
        const [at, length] = stack.iov.subarray(2 * piece, 2 * piece + 2);
        this.received.push(stack.bytes.slice(at, at + length));
        taken += length;
      }
      stack.consumed(id, taken);
    }
    if (!reads) stack.consumed(id, 0);
  }

  #onEvents(id: number, events: number): void {
    this.seen |= events;
    if (events & FlowEvent.Syn) {
      this.id = id;
      this.stack.accept(id);
    }
    if (events & FlowEvent.Data) this.read(id);
  }

  #transmit(pieces: number, count: number): number {
    const { bytes } = this.stack;
    const iov = new Uint32Array(this.stack.memory, pieces, 2 * count);
    const parts: Uint8Array[] = [];
    for (let piece = 0; piece < count; piece += 1) {
      parts.push(bytes.subarray(iov[2 * piece], iov[2 * piece] + iov[2 * piece + 1]));
    }
    this.outbox.push(Buffer.concat(parts));
    return 0;
  }
}

/** Two stacks back to back over a wire that loses the frames that `loses` says, with a clock of its own. */
export class Netsim {
  readonly a: Endpoint;
  readonly b: Endpoint;
  readonly #loses: (n: number) => boolean;
  #frames = 0;
  /** Milliseconds of virtual time. */
  now = 0;
  /** Every frame that was put on the wire, lost ones included. */
  readonly wire: { from: "a" | "b"; frame: Uint8Array; lost: boolean }[] = [];

  readonly #options: NetsimOptions;

  constructor(options: NetsimOptions) {
    this.#options = options;
    this.a = new Endpoint({ ...options, memoryBudget: USUAL_BUDGET });
    this.b = new Endpoint(options);
    this.#loses = options.loses ?? (() => false);
  }

  /** Connects `a` to `b`, as to a guest. */
  connect(guestPort = 80, peerPort = 40000): void {
    const v6 = this.#options.family === 6;
    this.a.id = this.a.stack.connect(
      {
        guest: parsed(v6 ? "2001:db8::100" : "198.51.100.100"),
        guestPort,
        peer: parsed(v6 ? "2001:db8:1::7" : "203.0.113.7"),
        peerPort,
      },
      MAC,
    );
    this.settle();
  }

  /** Delivers frames and events until nothing moves; time stands still. */
  settle(): void {
    for (let moved = true; moved; ) {
      moved = this.#deliver(this.a, this.b, "a");
      moved = this.#deliver(this.b, this.a, "b") || moved;
      for (const { stack } of [this.a, this.b]) moved = stack.flushAcks() || moved;
    }
  }

  /** Lets time pass in ticks, delivering after each. */
  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += TICK_INTERVAL) {
      this.a.stack.tick();
      this.b.stack.tick();
      this.settle();
    }
  }

  #deliver(from: Endpoint, to: Endpoint, name: "a" | "b"): boolean {
    from.drainEvents();
    const frames = from.outbox.splice(0);
    for (const [index, frame] of frames.entries()) {
      const lost = this.#loses(this.#frames);
      this.#frames += 1;
      this.wire.push({ from: name, frame, lost });
      if (!lost) to.input(frame);
      if (index % BATCH === BATCH - 1) to.drainEvents();
    }
    to.drainEvents();
    return frames.length > 0;
  }
}

function parsed(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(text);
  return address;
}
