import { writeFileSync } from "node:fs";
import { join } from "node:path";
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
/** Time limit for the healthy transfer beside an attack, in ms: tests wait for states, not times. */
const PATIENCE = 90_000;

/** How an attack is measured; see attack.c. */
export interface Pace {
  /** frames per second on an idle machine */
  readonly rate: number;
  /** of a half round, in ms */
  readonly halfMs: number;
  /** at least */
  readonly rounds: number;
  /** that the transfer must get across beside the attack */
  readonly mebibytes: number;
}

/** One round: bytes that the healthy transfer got across beside noise, and beside the attack. */
export interface Round {
  readonly noise: number;
  readonly attack: number;
  /** frames of the attack, and how many of them the kernel refused */
  readonly sent: number;
  readonly refused: number;
}

/** Tools of a hostile guest; see attack.c. */
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
   * Replays frames, each behind a virtio_net_hdr, repeatedly beside a healthy transfer.
   * @throws if the transfer ends, or has not got its bytes across within a minute and a half
   */
  async replay(
    guest: Guest,
    frames: readonly Uint8Array[],
    { rate, halfMs, rounds, mebibytes }: Pace,
  ): Promise<readonly Round[]> {
    const file = this.#write(frames);
    const to = [served.services, `${sinkPort}`];
    const pace = [rate, halfMs, rounds, mebibytes].map((each) => `${each}`);
    const argv = [this.#program, "replay", "tap0", file, ...to, ...pace];
    const { code, stdout, stderr } = await guest.spawn(argv).ended(PATIENCE);
    if (code !== 0) throw new Error(`the transfer beside the attack: ${stderr}${stdout}`);
    return roundsOf(stdout);
  }

  /** Sends and receives frames by hand, as the host of that MAC beside the guest's kernel. */
  async handmade(guest: Guest, mac: string): Promise<FramePipe> {
    const process = guest.spawn([this.#program, "pipe", "tap0", mac], { pipes: [3, 4] });
    await process.printed(/ready/);
    return new FramePipe(process);
  }

  /** A client that waits for answers, from one namespace to another. */
  async asker(from: Namespace, to: Namespace, address: string): Promise<Asker> {
    const place = [address, `${echoPort}`];
    await to.spawn([this.#program, "echo", ...place]).printed(/ready/);
    const process = from.spawn([this.#program, "ask", ...place], { stdin: "pipe" });
    await process.printed(/ready/);
    return new Asker(process);
  }

  /** A sender of frames to devices, as fast as the kernel takes them. */
  flooder(from: Namespace, frames: readonly Uint8Array[]): Promise<Torrent> {
    return this.#torrent(from, ["flood", this.#write(frames)]);
  }

  /** A sender to an address and a port, as fast as TCP takes it. */
  pourer(from: Namespace): Promise<Torrent> {
    return this.#torrent(from, ["pour"]);
  }

  /** Discards the data of connections to {@link sinkPort}. */
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
}

/** Sends a byte, waits for the answer, and repeats; see attack.c. */
export class Asker {
  readonly #talk: Talk;

  constructor(process: Process) {
    this.#talk = new Talk(process);
  }

  /** @throws if not all have been answered within a minute and a half */
  async ask(count: number): Promise<Waits> {
    const [median = 0, late = 0] = await this.#talk.say(`${count}`);
    return { median, late };
  }
}

/** Sends as much as it can between start() and stop(); see attack.c. */
export class Torrent {
  readonly #process: Process;
  readonly #talk: Talk;

  constructor(process: Process) {
    this.#process = process;
    this.#talk = new Talk(process);
  }

  /** Resolves once it has sent something. */
  async start(to: string): Promise<void> {
    await this.#talk.say(to);
  }

  /** @returns frames or bytes sent */
  async stop(): Promise<number> {
    const [sent = 0] = await this.#talk.say("");
    return sent;
  }

  async close(): Promise<void> {
    this.#process.child.stdin?.end();
    await this.#process.ended(10_000);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A program that answers each line. */
class Talk {
  readonly #process: Process;
  /** The first answer says that it is ready. */
  #lines = 1;

  constructor(process: Process) {
    this.#process = process;
  }

  /** @returns the figures of the answer */
  async say(line: string): Promise<readonly number[]> {
    const { child } = this.#process;
    child.stdin?.write(`${line}\n`);
    this.#lines += 1;
    await this.#process.printed(new RegExp(`^(.*\\n){${this.#lines}}`), PATIENCE);
    const [, ...figures] = this.#process.stdout.split("\n")[this.#lines - 1]?.split(" ") ?? [];
    return figures.map(Number);
  }
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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
