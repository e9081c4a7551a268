import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { DropCounters } from "../../src/base/drop.js";
import { Joiner, type JoinOptions } from "../../src/stack/joiner.js";
import type { Encapsulation } from "../../src/stack/splitter.js";
import { Stack } from "../../src/stack/stack.js";
import { TunnelLayout } from "../../src/stack/tunnel-frames.js";
import { native } from "../../src/sys/native.js";
import { TestNamespace } from "../wire/netns.js";

const MTU = 1450;
/** Frames that are read before the other side gets its own. */
const BATCH = 16;

/** What a tunnel carried: one datagram each. */
export type Wire = (datagrams: Buffer[]) => Buffer[];

/** A namespace with a real TAP, and what cuts its frames and joins those for it. */
class End {
  readonly namespace: TestNamespace;
  readonly mac: string;
  readonly drops = new DropCounters();
  readonly stack: Stack;
  readonly joiner = new Joiner();
  readonly #tap: number;
  readonly #stackMemory: number;
  readonly #joinerMemory: number;
  /** Frames written and read that were superframes. */
  joined = 0;
  cut = 0;

  private constructor(namespace: TestNamespace, tap: number, mac: string) {
    this.namespace = namespace;
    this.mac = mac;
    this.#tap = tap;
    this.stack = new Stack({
      mtu: MTU,
      offload: true,
      mac: 0x525500000002,
      memoryBudget: 8 << 20,
      seed: Uint32Array.of(1, 2),
      transmit: () => 0,
    });
    this.#stackMemory = native.registerMemory(this.stack.memory);
    this.#joinerMemory = native.registerMemory(this.joiner.memory);
  }

  static async open(number: number): Promise<End> {
    const namespace = await TestNamespace.open();
    const { pid } = namespace;
    const agent = native.openAgent(`/proc/${pid}/ns/user`, `/proc/${pid}/ns/net`);
    const tap = native.agentOpenTap(agent, "tap0", true);
    native.closeAgent(agent);
    if (tap < 0) throw new Error(`no TAP: ${tap}`);
    const mac = `02:00:00:00:00:0${number}`;
    namespace.run("ip", "link", "set", "tap0", "address", mac, "mtu", `${MTU}`, "up");
    namespace.run("ip", "address", "add", `10.0.2.${number}/24`, "dev", "tap0");
    namespace.run("ip", "address", "add", `fd00::${number}/64`, "dev", "tap0", "nodad");
    return new End(namespace, tap, mac);
  }

  /** For layouts without ARP and neighbour discovery. */
  knows(other: End, number: number): void {
    for (const address of [`10.0.2.${number}`, `fd00::${number}`]) {
      this.namespace.run("ip", "neigh", "add", address, "lladdr", other.mac, "dev", "tap0");
    }
  }

  /** Reads frames of the kernel's, and cuts them. */
  read(encapsulation: Encapsulation): Buffer[] {
    const { stack } = this;
    const datagrams: Buffer[] = [];
    for (let frame = 0; frame < BATCH; frame += 1) {
      const length = native.read(this.#tap, this.#stackMemory, stack.buffer, stack.bufferCapacity);
      if (length < 0) break;
      const ethernet = stack.buffer + stack.headroom;
      let segments = stack.splitter.split(ethernet, length - stack.headroom, encapsulation);
      if (segments > 1) this.cut += 1;
      for (; segments > 0; segments = stack.splitter.next()) {
        for (let index = 0; index < segments; index += 1) datagrams.push(this.#segment(index));
      }
    }
    return datagrams;
  }

  #segment(index: number): Buffer {
    const { stack } = this;
    const [header, headerLength, payload, length] = stack.splitter.iov.subarray(4 * index);
    return Buffer.concat([
      stack.bytes.subarray(header, header + headerLength),
      stack.bytes.subarray(payload, payload + length),
    ]);
  }

  /** Joins datagrams, and gives the kernel the frames. */
  write(datagrams: readonly Buffer[], options: JoinOptions, from: End): void {
    const { joiner } = this;
    joiner.clear();
    let at = joiner.arena;
    for (const datagram of datagrams) {
      joiner.bytes.set(datagram, at);
      if (!joiner.add(at, datagram.length, 0)) {
        this.#writeJoined(options, from);
        joiner.clear();
        joiner.add(at, datagram.length, 0);
      }
      at += datagram.length;
    }
    this.#writeJoined(options, from);
  }

  #writeJoined(options: JoinOptions, from: End): void {
    const { joiner } = this;
    const frames = joiner.join(options);
    for (let frame = 0; frame < frames; frame += 1) {
      if (options.layout === TunnelLayout.Ip) {
        const macs = Buffer.from(`${this.mac}${from.mac}`.replaceAll(":", ""), "hex");
        joiner.bytes.set(macs, joiner.ethernetAt(frame));
      }
      if (joiner.datagrams(frame) > 1) this.joined += 1;
      const vector = joiner.iovAt(frame);
      native.writev(this.#tap, this.#joinerMemory, vector, joiner.iovCount(frame));
    }
    joiner.countRefused(this.drops);
  }

  /** A counter of the namespace's kernel, such as `Tcp InCsumErrors`. */
  counter(protocol: string, name: string): number {
    const lines = this.namespace.run("cat", "/proc/net/snmp").split("\n");
    const [names = "", values = ""] = lines.filter((line) => line.startsWith(`${protocol}:`));
    return Number(values.split(" ")[names.split(" ").indexOf(name)]);
  }

  async close(): Promise<void> {
    native.close(this.#tap);
    native.unregisterMemory(this.#stackMemory);
    native.unregisterMemory(this.#joinerMemory);
    await this.namespace.close();
  }
}

/** Two kernels, whose TAPs are joined by the splitter, a wire and the joiner, in both directions. */
export class TapPair {
  readonly a: End;
  readonly b: End;
  readonly #options: JoinOptions;
  readonly #wire: Wire;
  readonly #programs: ChildProcess[] = [];
  #running = true;
  readonly #pumped: Promise<void>;

  private constructor(a: End, b: End, options: JoinOptions, wire: Wire) {
    this.a = a;
    this.b = b;
    this.#options = options;
    this.#wire = wire;
    this.#pumped = this.#pump();
  }

  static async open(options: JoinOptions, wire: Wire): Promise<TapPair> {
    const [a, b] = [await End.open(1), await End.open(2)];
    if (options.layout === TunnelLayout.Ip) {
      a.knows(b, 2);
      b.knows(a, 1);
    }
    return new TapPair(a, b, options, wire);
  }

  /**
   * Starts a program in a namespace.
   * @returns its first line of output, and what it printed in all when it has ended well
   */
  start(end: End, ...command: string[]): { first: Promise<string>; all: Promise<string> } {
    const entry = ["-t", `${end.namespace.pid}`, "-U", "-n", "--preserve-credentials"];
    const child = spawn("nsenter", [...entry, ...command], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#programs.push(child);
    const lines = createInterface({ input: child.stdout });
    const printed: string[] = [];
    lines.on("line", (line) => printed.push(line));
    const first = once(lines, "line").then(([line]) => String(line));
    const all = once(child, "close").then(([status]) => {
      if (status !== 0) throw new Error(`${command[0]} ended with ${status}`);
      return printed.join("\n");
    });
    return { first, all };
  }

  async close(): Promise<void> {
    for (const program of this.#programs) program.kill("SIGKILL");
    this.#running = false;
    await this.#pumped;
    await this.a.close();
    await this.b.close();
  }

  async #pump(): Promise<void> {
    const { layout } = this.#options;
    const encapsulation = { layout, vni: 5, mtu: MTU, rewrite: null };
    while (this.#running) {
      this.b.write(this.#wire(this.a.read(encapsulation)), this.#options, this.a);
      this.a.write(this.#wire(this.b.read(encapsulation)), this.#options, this.b);
      await new Promise(setImmediate);
    }
  }
}
