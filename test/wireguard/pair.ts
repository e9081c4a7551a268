import { Address } from "../../src/base/address.js";
import type { DropReason, DropReasonOrOk } from "../../src/base/drop.js";
import { nonceOf, open } from "../../src/sys/crypto/chacha20-poly1305.js";
import { randomBytes } from "../../src/sys/random.js";
import { readU32le } from "../../src/wire/bytes.js";
import { Data, dataCounter, MessageType, messageType } from "../../src/wire/tunnel/wireguard.js";
import { Device } from "../../src/wireguard/device.js";
import type { Peer } from "../../src/wireguard/peer.js";

/** A message on its way. */
export interface Sent {
  readonly from: End;
  readonly message: Uint8Array;
  readonly type: number;
}

/** A device with the keys that it gave the addon, and what it received. */
export class End {
  readonly device: Device;
  readonly address: Address;
  readonly keys = new Map<number, Uint8Array>();
  readonly received: Uint8Array[] = [];
  readonly dropped: DropReason[] = [];
  /** Keys that the addon still takes. */
  room = Number.POSITIVE_INFINITY;

  constructor(world: World, address: string, secret: Uint8Array = randomBytes(32)) {
    this.address = parse(address);
    let last = 0;
    this.device = new Device(secret, {
      transmit: (message) => world.send(this, Uint8Array.from(message)),
      onDrop: (reason) => void this.dropped.push(reason),
      addKey: (key) => {
        if (this.keys.size >= this.room) return -28;
        last += 1;
        this.keys.set(last, Uint8Array.from(key));
        return last;
      },
      removeKey: (number) => void this.keys.delete(number),
      wallClock: () => world.wallClock,
    });
  }

  /** Takes a message as the data plane does. @returns why it was dropped, or 0; "forged" when it is not authentic */
  take(
    message: Uint8Array,
    from: End,
    now: number,
    port = 51_820,
  ): DropReasonOrOk | "forged" | "unknown" {
    if (messageType(message, 0, message.length) !== MessageType.Data) {
      return this.device.onMessage(message, 0, message.length, from.address, port, now);
    }
    const session = this.device.lookup(readU32le(message, Data.Receiver), now);
    if (session === null) return "unknown";
    const counter = dataCounter(message, 0);
    const key = this.keys.get(session.receiveKey);
    if (counter === null || key === undefined) return "unknown";
    const packet = open(key, nonceOf(counter), message.subarray(Data.Packet), new Uint8Array(0));
    if (packet === null || !session.accept(counter)) return "forged";
    this.device.onReceived(session, from.address, port, packet.length > 0, now);
    if (packet.length > 0) this.received.push(packet);
    return 0;
  }

  /** Sends a packet as the data plane does. */
  send(peer: Peer, packet: Uint8Array, now: number): void {
    const session = this.device.sessionFor(peer, now);
    if (session === null) this.device.enqueue(peer, packet, 0, packet.length, 1420, now);
    else this.transmit(session.seal(packet, now));
  }

  transmit: (message: Uint8Array) => void = () => {};
}

export function parse(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(text);
  return address;
}

/** Two devices, each the other's peer, with a clock that stands still unless it is moved. */
export class World {
  now = 1_000;
  /** What the wall clock is ahead of the other one. */
  epoch = Date.UTC(2026, 0, 1);
  readonly a: End;
  readonly b: End;
  /** All that was sent. */
  readonly log: Sent[] = [];
  readonly #underWay: Sent[] = [];
  /** Whether a message arrives. */
  arrives: (sent: Sent) => boolean = () => true;
  readonly aToB: Peer;
  readonly bToA: Peer;

  constructor(keepalive = Number.POSITIVE_INFINITY) {
    this.a = new End(this, "192.0.2.1");
    this.b = new End(this, "192.0.2.2");
    this.a.transmit = (message) => this.send(this.a, message);
    this.b.transmit = (message) => this.send(this.b, message);
    this.aToB = add(this.a, this.b, keepalive);
    this.bToA = add(this.b, this.a, keepalive);
  }

  get wallClock(): number {
    return this.epoch + this.now;
  }

  send(from: End, message: Uint8Array): void {
    const sent = { from, message, type: message[0] };
    this.log.push(sent);
    this.#underWay.push(sent);
  }

  /** Delivers all that is under way, and what comes of it. */
  settle(): void {
    for (;;) {
      for (const end of [this.a, this.b]) end.device.run(this.now);
      const sent = this.#underWay.shift();
      if (sent === undefined) return;
      const to = sent.from === this.a ? this.b : this.a;
      if (this.arrives(sent)) to.take(sent.message, sent.from, this.now);
    }
  }

  /** Lets time pass, with all that is due meanwhile. @param ms how much */
  pass(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      this.settle();
      const next = Math.min(this.a.device.nextAt, this.b.device.nextAt);
      if (next > until) break;
      this.now = Math.max(this.now, next);
    }
    this.now = until;
  }

  /** Types of what was sent since the last call, by a with its letter before, by b likewise. */
  takeLog(): string[] {
    return this.log.splice(0).map(({ from, type }) => `${from === this.a ? "a" : "b"}${type}`);
  }
}

function add(end: End, other: End, keepalive: number): Peer {
  const peer = end.device.addPeer(other.device.publicKey, keepalive);
  if (peer === null) throw new Error("no peer");
  peer.moveTo(other.address, 51_820);
  return peer;
}
