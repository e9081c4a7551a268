import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { served } from "./addresses.ts";
import type { Guest } from "./guest.ts";
import type { Lab } from "./lab.ts";
import type { Namespace } from "./namespace.ts";
import type { Process } from "./process.ts";
import { root } from "./product.ts";

/** In the world, at every address. */
export const sinkPort = 9001;
export const sourcePort = 9002;
const echoPort = 9003;

/** How an attack is measured; see attack.c. */
export interface Pace {
  /** frames a second on a machine that is not busy */
  readonly rate: number;
  /** of a half round, in ms */
  readonly halfMs: number;
  readonly rounds: number;
}

/** One round: bytes that the healthy transfer got across beside noise, and beside the attack. */
export interface Round {
  readonly noise: number;
  readonly attack: number;
  /** frames of the attack; of them the kernel refused so many */
  readonly sent: number;
  readonly refused: number;
}

/** A hostile guest's means; see attack.c. */
export class Attacker {
  readonly #lab: Lab;
  readonly #program: string;
  #files = 0;

  private constructor(lab: Lab, program: string) {
    this.#lab = lab;
    this.#program = program;
  }

  /** Builds the program and starts a sink and a source of bytes in the world. */
  static async create(lab: Lab): Promise<Attacker> {
    const { stage } = lab.host;
    const program = join(lab.directory, "attack");
    const source = stage.inside(join(root, "test/lab/attack.c"));
    const flags = ["-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"];
    await stage.namespace.output(["gcc", ...flags, "-o", program, source]);
    for (const [role, port] of Object.entries({ sink: sinkPort, source: sourcePort })) {
      await lab.world.root.spawn([program, role, `${port}`]).printed(/ready/);
    }
    return new Attacker(lab, program);
  }

  /**
   * Replays frames, each behind a virtio_net_hdr, over and over beside a healthy transfer.
   * @param wantsMore looks at the rounds so far; true for one more
   */
  async replay(
    guest: Guest,
    frames: readonly Uint8Array[],
    { rate, halfMs, rounds }: Pace,
    wantsMore: (rounds: readonly Round[]) => boolean = () => false,
  ): Promise<readonly Round[]> {
    const file = this.#write(frames);
    const to = [served.services, `${sinkPort}`];
    const pace = [rate, halfMs, rounds].map((each) => `${each}`);
    const process = guest.spawn([this.#program, "replay", "tap0", file, ...to, ...pace], {
      stdin: "pipe",
    });
    for (let turn = 1; ; turn += 1) {
      await process.printed(new RegExp(`(done[^]*){${turn}}`), 30_000 + 4 * halfMs * rounds);
      if (!wantsMore(roundsOf(process.stdout))) break;
      process.child.stdin?.write("1\n");
    }
    process.child.stdin?.end();
    await process.ended(10_000);
    return roundsOf(process.stdout);
  }

  /** Sends and receives frames by hand, as the host of that MAC beside the guest's kernel. */
  async handmade(guest: Guest, mac: string): Promise<FramePipe> {
    const process = guest.spawn([this.#program, "pipe", "tap0", mac], { pipes: [3, 4] });
    await process.printed(/ready/);
    return new FramePipe(process);
  }

  /** What waits for answers, from one namespace to another. */
  async asker(from: Namespace, to: Namespace, address: string): Promise<Asker> {
    const place = [address, `${echoPort}`];
    await to.spawn([this.#program, "echo", ...place]).printed(/ready/);
    const process = from.spawn([this.#program, "ask", ...place], { stdin: "pipe" });
    await process.printed(/ready/);
    return new Asker(process);
  }

  /** What sends frames as fast as the kernel takes them, told devices. */
  flooder(from: Namespace, frames: readonly Uint8Array[]): Promise<Torrent> {
    return this.#torrent(from, ["flood", this.#write(frames)]);
  }

  /** What sends as fast as TCP takes it, told an address and a port. */
  pourer(from: Namespace): Promise<Torrent> {
    return this.#torrent(from, ["pour"]);
  }

  /** Throws away what connections to {@link sinkPort} bring. */
  async sink(at: Namespace): Promise<void> {
    await at.spawn([this.#program, "sink", `${sinkPort}`]).printed(/ready/);
  }

  async #torrent(from: Namespace, argv: readonly string[]): Promise<Torrent> {
    const process = from.spawn([this.#program, ...argv], { stdin: "pipe" });
    await process.printed(/ready/);
    return new Torrent(process);
  }

  #write(frames: readonly Uint8Array[]): string {
    this.#files += 1;
    const path = join(this.#lab.directory, `frames.${this.#files}`);
    writeFileSync(this.#lab.host.stage.outside(path), recordsOf(frames));
    return path;
  }
}

/** How long answers took, in ns. */
export interface Waits {
  readonly median: number;
  /** 99th percentile */
  readonly late: number;
  readonly count: number;
}

/** Sends a byte, waits for the answer, and so on; see attack.c. */
export class Asker {
  readonly #process: Process;
  #turns = 0;

  constructor(process: Process) {
    this.#process = process;
  }

  async ask(ms: number): Promise<Waits> {
    this.#turns += 1;
    const [median = 0, late = 0, count = 0] = await told(this.#process, `${ms}`, ms, this.#turns);
    return { median, late, count };
  }
}

/** Sends as much as it can when it is told to; see attack.c. */
export class Torrent {
  readonly #process: Process;
  #turns = 0;

  constructor(process: Process) {
    this.#process = process;
  }

  /** @returns frames or bytes that were sent */
  async run(to: string, ms: number): Promise<number> {
    this.#turns += 1;
    const [sent = 0] = await told(this.#process, `${to} ${ms}`, ms, this.#turns);
    return sent;
  }

  async close(): Promise<void> {
    this.#process.child.stdin?.end();
    await this.#process.ended(10_000);
  }
}

/** Tells a process something; gives the figures of its answer, the line whose turn it is. */
async function told(
  process: Process,
  line: string,
  ms: number,
  turn: number,
): Promise<readonly number[]> {
  process.child.stdin?.write(`${line}\n`);
  // To look for the answer takes from the processors what is measured.
  await delay(ms);
  // The first line says that it is ready.
  await process.printed(new RegExp(`^(.*\\n){${turn + 1}}`));
  const [, ...figures] = process.stdout.split("\n")[turn]?.split(" ") ?? [];
  return figures.map(Number);
}

/** Frames to and from a guest's TAP, each behind a virtio_net_hdr of 10 bytes. */
export class FramePipe {
  readonly process: Process;
  #rest = Buffer.alloc(0);
  #onFrame: (frame: Uint8Array) => void = () => undefined;

  constructor(process: Process) {
    this.process = process;
    process.pipe(4).on("data", (bytes: Buffer) => this.#onBytes(bytes));
  }

  onFrame(callback: (frame: Uint8Array) => void): void {
    this.#onFrame = callback;
  }

  send(frames: readonly Uint8Array[]): void {
    this.process.pipe(3).write(recordsOf(frames));
  }

  async close(): Promise<void> {
    this.process.pipe(3).end();
    await this.process.ended(10_000);
  }

  #onBytes(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    while (at + 4 <= this.#rest.length) {
      const end = at + 4 + this.#rest.readUInt32LE(at);
      if (end > this.#rest.length) break;
      this.#onFrame(this.#rest.subarray(at + 4, end));
      at = end;
    }
    this.#rest = this.#rest.subarray(at);
  }
}

/** A length in this machine's order (that of x86 and ARM) before each frame. */
function recordsOf(frames: readonly Uint8Array[]): Buffer {
  const records = Buffer.alloc(frames.reduce((sum, { length }) => sum + 4 + length, 0));
  let at = 0;
  for (const frame of frames) {
    at = records.writeUInt32LE(frame.length, at);
    records.set(frame, at);
    at += frame.length;
  }
  return records;
}

function roundsOf(stdout: string): readonly Round[] {
  return [...stdout.matchAll(/^round (\d+) (\d+) (\d+) (\d+)$/gm)].map((match) => {
    const [noise = 0, attack = 0, sent = 0, refused = 0] = match.slice(1).map(Number);
    return { noise, attack, sent, refused };
  });
}
