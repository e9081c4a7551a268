import { setTimeout as delay } from "node:timers/promises";
import type { FramePipe } from "../../lab/attack.ts";
import { flag, type TcpFields, tcp, u16, vnetLength } from "./frames.ts";

const ethernetLength = 14;
const ipv4Length = 20;
const segmentAt = vnetLength + ethernetLength + ipv4Length;

/** The options of a SYN that Linux would send: MSS 1460, SACK permitted, window scale 7. */
const usualOptions = [2, 4, ...u16(1460), 4, 2, 1, 3, 3, 7, 0, 0];

/** A connection whose guest side is written by hand. */
export class GhostConnection {
  readonly to: string;
  readonly toPort: number;
  readonly port: number;
  /** What is sent next. */
  sequence: number;
  /** What is expected next. */
  acknowledgment = 0;

  constructor(to: string, toPort: number, port: number, sequence: number) {
    this.to = to;
    this.toPort = toPort;
    this.port = port;
    this.sequence = sequence;
  }

  /** A segment with the current numbers, or others. */
  segment(flags: number, fields: TcpFields = {}): Uint8Array {
    const { sequence, acknowledgment } = this;
    return tcp(this.to, this.port, this.toPort, flags, { sequence, acknowledgment, ...fields });
  }
}

/** Time limit for all answers, in ms. */
const PATIENCE = 30_000;
/** Polls, at least 1 ms apart, between two SYNs of a connection. */
const REPEAT = 1_000;

interface Opening extends Pick<TcpFields, "sequence" | "options"> {
  /** ms; for connections some of which get no answer */
  readonly patience?: number;
}

/** Opens connections past the guest's kernel, from an address that the kernel does not have. */
export class Ghost {
  readonly #pipe: FramePipe;
  readonly #opening = new Map<number, GhostConnection>();
  #port = 1_024;

  constructor(pipe: FramePipe) {
    this.#pipe = pipe;
    pipe.onFrame((frame) => this.#onFrame(frame));
  }

  /**
   * Opens connections that then stay open; leaves out those without an answer. Repeats each SYN every
   * second, because one may be lost on a busy machine.
   * @param sequence of each SYN
   */
  async open(
    count: number,
    to: string,
    toPort: number,
    { sequence = 1_000, options = usualOptions, patience = PATIENCE }: Opening = {},
  ): Promise<GhostConnection[]> {
    const all = Array.from({ length: count }, () => this.#begin(to, toPort, sequence));
    const deadline = performance.now() + patience;
    const batch = 250;
    for (let at = 0; at < count; at += batch) {
      const some = all.slice(at, at + batch);
      for (let waited = 0; performance.now() < deadline; waited += 1) {
        const left = some.filter(({ port }) => this.#opening.has(port));
        if (left.length === 0) break;
        if (waited % REPEAT === 0) {
          const fields = { sequence, acknowledgment: 0, options };
          this.send(left.map((each) => each.segment(flag.syn, fields)));
        }
        await delay(1);
      }
    }
    const opened = all.filter(({ port }) => !this.#opening.has(port));
    this.#opening.clear();
    return opened;
  }

  send(frames: readonly Uint8Array[]): void {
    this.#pipe.send(frames);
  }

  /**
   * Sends resets, slowly enough that few are lost on the way.
   * @param offsets of the sequence numbers, if the peer may have received more than was counted
   */
  async reset(connections: readonly GhostConnection[], offsets: readonly number[] = [0]) {
    const frames = offsets.flatMap((offset) =>
      connections.map((each) =>
        each.segment(flag.rst, { sequence: (each.sequence + offset) >>> 0 }),
      ),
    );
    for (let at = 0; at < frames.length; at += 500) {
      this.send(frames.slice(at, at + 500));
      await delay(5);
    }
  }

  close(): Promise<void> {
    return this.#pipe.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #begin(to: string, toPort: number, sequence: number): GhostConnection {
    this.#port = this.#port === 65_535 ? 1_024 : this.#port + 1;
    const connection = new GhostConnection(to, toPort, this.#port, (sequence + 1) >>> 0);
    this.#opening.set(this.#port, connection);
    return connection;
  }

  #onFrame(frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (frame.length < segmentAt + 20 || frame[segmentAt - 11] !== 6) return;
    const port = view.getUint16(segmentAt + 2);
    const connection = this.#opening.get(port);
    const flags = frame[segmentAt + 13];
    if (connection === undefined || (flags & (flag.syn | flag.ack)) !== (flag.syn | flag.ack))
      return;
    connection.acknowledgment = (view.getUint32(segmentAt + 4) + 1) >>> 0;
    this.#opening.delete(port);
    this.send([connection.segment(flag.ack)]);
  }
}
