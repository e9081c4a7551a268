import { Address } from "../../src/base/address.js";
import { NEVER } from "../../src/base/clock.js";
import { Socket } from "../../src/sys/constants.js";
import { addSealingKey, forgetSealingKey } from "../../src/sys/crypto/aead.js";
import { nonceOf, open } from "../../src/sys/crypto/chacha20-poly1305.js";
import { native } from "../../src/sys/native.js";
import { MessageTable, messageTableSize } from "../../src/sys/sockets/message-table.js";
import { sockaddrPort, writeSockaddr } from "../../src/sys/sockets/sockaddr.js";
import { bindSocket } from "../../src/sys/sockets/socket.js";
import { readU32le } from "../../src/wire/bytes.js";
import { Data, dataCounter, MessageType, messageType } from "../../src/wire/tunnel/wireguard.js";
import { Device } from "../../src/wireguard/device.js";
import type { Peer } from "../../src/wireguard/peer.js";

const LAYOUT = { messages: 2, pieces: 2, control: 0 } as const;
const BUFFER = 4_096;
const SIZE = 2_048;

export const LOOPBACK_ADDRESS = Address.parse("127.0.0.1") as Address;

/** A Device at a real socket in a namespace, with a clock that can be turned on. */
export class TestEndpoint {
  readonly device: Device;
  readonly peer: Peer;
  /** Types of the messages of handshakes that came. */
  readonly types: number[] = [];
  /** Ports that messages came from. */
  readonly ports: number[] = [];
  readonly packets: Buffer[] = [];
  /** What is done with a packet. */
  onPacket: (packet: Buffer) => void = () => {};
  readonly #pid: number;
  readonly #keys = new Map<number, Uint8Array>();
  readonly #buffer = new ArrayBuffer(65_536);
  readonly #bytes = new Uint8Array(this.#buffer);
  readonly #memory = native.registerMemory(this.#buffer);
  readonly #table = new MessageTable(this.#buffer, this.#memory, 0, LAYOUT);
  readonly #timer: NodeJS.Timeout;
  port: number;
  #fd: number;
  #turned = 0;

  /** @param pid of a process of the namespace @param port of the socket */
  constructor(pid: number, privateKey: Uint8Array, peerKey: Uint8Array, port: number) {
    if (messageTableSize(LAYOUT) > BUFFER) throw new RangeError("the table is too long");
    this.#pid = pid;
    this.port = port;
    this.#fd = openIn(pid, port);
    this.device = new Device(privateKey, {
      transmit: (message, address, to) => this.sendTo(message, address, to),
      onDrop: () => {},
      addKey: (key) => {
        const number = addSealingKey(key);
        this.#keys.set(number, Uint8Array.from(key));
        return number;
      },
      removeKey: (number) => {
        forgetSealingKey(number);
        this.#keys.delete(number);
      },
      wallClock: () => Date.now() + this.#turned,
    });
    const peer = this.device.addPeer(peerKey, NEVER);
    if (peer === null) throw new Error("no peer");
    this.peer = peer;
    this.#timer = setInterval(() => this.poll(), 1);
  }

  get now(): number {
    return performance.now() + this.#turned;
  }

  /** Turns the clock on, by so many ms. */
  turn(by: number): void {
    this.#turned += by;
  }

  /** Has another socket from now on. */
  move(port: number): void {
    native.close(this.#fd);
    this.port = port;
    this.#fd = openIn(this.#pid, port);
  }

  /** Sends an IP packet through the tunnel. */
  send(packet: Uint8Array): void {
    const { now } = this;
    const session = this.device.sessionFor(this.peer, now);
    if (session === null) {
      this.device.enqueue(this.peer, packet, 0, packet.length, 1420, now);
      return;
    }
    const { address, port } = this.peer;
    if (address !== null) this.sendTo(session.seal(packet, now), address, port);
  }

  sendTo(message: Uint8Array, address: Address, port: number): void {
    this.#bytes.set(message, BUFFER);
    this.#table.setPiece(0, BUFFER, message.length);
    const name = writeSockaddr(this.#bytes, this.#table.nameAt(0), address, port);
    this.#table.describe(0, name, 0, 1);
    this.#table.send(this.#fd, 0, 1);
  }

  poll(): void {
    for (;;) {
      for (const index of [0, 1]) this.#table.setPiece(index, BUFFER + index * SIZE, SIZE);
      const count = this.#table.receive(this.#fd, 2, 0);
      if (count <= 0) break;
      for (let index = 0; index < count; index += 1) this.#take(index);
    }
    this.device.run(this.now);
  }

  close(): void {
    clearInterval(this.#timer);
    native.close(this.#fd);
    native.unregisterMemory(this.#memory);
  }

  #take(index: number): void {
    const at = BUFFER + index * SIZE;
    const message = Buffer.from(this.#bytes.slice(at, at + this.#table.length(index)));
    const address = Address.read(this.#bytes, this.#table.nameAt(index) + 4, 4);
    const port = sockaddrPort(this.#bytes, this.#table.nameAt(index));
    this.ports.push(port);
    this.types.push(message[0]);
    const { now } = this;
    if (messageType(message, 0, message.length) !== MessageType.Data) {
      this.device.onMessage(message, 0, message.length, address, port, now);
      return;
    }
    const session = this.device.lookup(readU32le(message, Data.Receiver), now);
    const counter = dataCounter(message, 0);
    const key = this.#keys.get(session?.receiveKey ?? -1);
    if (session === null || counter === null || key === undefined) return;
    const packet = open(key, nonceOf(counter), message.subarray(Data.Packet), new Uint8Array(0));
    if (packet === null || !session.accept(counter)) return;
    this.device.onReceived(session, address, port, packet.length > 0, now);
    if (packet.length === 0) return;
    this.packets.push(packet);
    this.onPacket(packet);
  }
}

/** A UDP socket of a namespace at its loopback address. */
function openIn(pid: number, port: number): number {
  const agent = native.openAgent(`/proc/${pid}/ns/user`, `/proc/${pid}/ns/net`);
  const fd = native.agentSocket(agent, Socket.Inet, Socket.Datagram, 0);
  native.closeAgent(agent);
  const bound = fd < 0 ? fd : bindSocket(fd, LOOPBACK_ADDRESS, port);
  if (bound < 0) throw new Error(`socket: ${bound}`);
  return fd;
}
