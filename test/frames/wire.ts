import { Address } from "../../src/base/address.js";
import { DropCounters } from "../../src/base/drop.js";
import { GuestWriter } from "../../src/frames/guest-writer.js";
import { Stack } from "../../src/stack/stack.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import {
  bindSocket,
  connectSocket,
  localAddress,
  openSocket,
} from "../../src/sys/sockets/socket.js";

const loopback = Address.ofIpv4Word(0x7f00_0001);

/** A stack and a writer that sends its frames to a socket pair instead of a TAP. */
export class Wire {
  readonly stack: Stack;
  readonly memory: number;
  readonly drops = new DropCounters();
  readonly writer: GuestWriter;
  readonly #tap: number;
  readonly #guest: number;

  constructor(mtu: number, offload: boolean) {
    this.stack = new Stack({
      mtu,
      offload,
      mac: 0x5255_0a00_0202,
      memoryBudget: 64 * 1024 * 1024,
      seed: new Uint32Array([1, 2]),
      transmit: () => 0,
    });
    this.memory = native.registerMemory(this.stack.memory);
    this.#guest = openSocket(4, Socket.Datagram);
    this.#tap = openSocket(4, Socket.Datagram);
    bindSocket(this.#guest, loopback, 0);
    const port = localAddress(this.#guest)?.port ?? 0;
    native.setsockopt(this.#guest, Socket.LevelSocket, Socket.ReceiveBuffer, 1 << 20);
    connectSocket(this.#tap, loopback, port);
    const { stack, memory, drops } = this;
    this.writer = new GuestWriter({
      stack,
      memory,
      drops,
      mtu,
      offload,
      fd: this.#tap,
      stream: null,
      mac: 0x5255_0a00_0202,
      capture: null,
    });
  }

  /** The next frame written, with its virtio header if there is one; null when there is none. */
  read(): Uint8Array | null {
    const bytes = new Uint8Array(66_000);
    const length = native.readBytes(this.#guest, bytes);
    return length < 0 ? null : bytes.slice(0, length);
  }

  close(): void {
    native.close(this.#tap);
    native.close(this.#guest);
    native.unregisterMemory(this.memory);
  }
}
