import { type Address, AddressCache, UNSPECIFIED } from "../../base/address.js";
import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import { writeMac } from "../../base/mac.js";
import type { Delivery } from "../../network/switch.js";
import { Joiner, type JoinOptions } from "../../stack/joiner.js";
import { TunnelLayout } from "../../stack/tunnel-frames.js";
import { MESSAGES_MAX, SealTable, sealTableSize } from "../../sys/crypto/aead.js";
import { native } from "../../sys/native.js";
import { TAPS_TAKE_DATAGRAMS } from "../../sys/release.js";
import {
  parseReceivedControl,
  RECEIVED_CONTROL_SPACE,
  type ReceivedControl,
} from "../../sys/sockets/control-data.js";
import { MessageTable, messageTableSize } from "../../sys/sockets/message-table.js";
import { sockaddrAddressOffset, sockaddrFamily, sockaddrPort } from "../../sys/sockets/sockaddr.js";
import { readU32le } from "../../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH } from "../../wire/ethernet.js";
import {
  Data,
  dataCounter,
  MessageType,
  messageType,
  TAG_LENGTH,
} from "../../wire/tunnel/wireguard.js";
import type { Device } from "../../wireguard/device.js";
import type { Peer } from "../../wireguard/peer.js";
import type { Session } from "../../wireguard/session.js";
import type { Overlay } from "../overlay.js";
import { PacketAddresses } from "./addresses.js";
import type { Peers } from "./peers.js";
import { Routes } from "./routes.js";
import { Sealer, type Sockets, sealerSpace } from "./sealer.js";

/** Messages of one recvmmsg, each of up to 64 KiB: what a wake-up takes of a socket. */
const BATCH = 8;
const BUFFER = 65_536;
const LAYOUT = { messages: BATCH, pieces: BATCH, control: RECEIVED_CONTROL_SPACE } as const;
const OPENS = { messages: MESSAGES_MAX, pieces: 0 } as const;

const JOIN: JoinOptions = {
  layout: TunnelLayout.Ip,
  offload: true,
  udpOffload: TAPS_TAKE_DATAGRAMS,
  routed: false,
};

/** A data message that is to be opened. */
interface Sealed {
  session: Session<Peer> | null;
  /** Where it came from. */
  address: Address;
  port: number;
  counter: number;
  /** Of the sealed packet, and its length with the tag. */
  at: number;
  length: number;
  trafficClass: number;
}

/** How often at most a host is looked for among all, in ms. */
const GREETING_INTERVAL = 10;

/** Receives from other hosts and clients by WireGuard, and writes frames to the members that they are for. */
export class WireguardReceiver {
  readonly #overlay: Overlay;
  readonly #device: Device;
  readonly #peers: Peers;
  readonly #routes: Routes;
  readonly #joiner = new Joiner();
  readonly #memory: number;
  readonly #table: MessageTable;
  readonly #opens: SealTable;
  readonly #sealer: Sealer;
  readonly #scratch: number;
  readonly #addresses = new AddressCache();
  readonly #packet = new PacketAddresses();
  readonly #control: ReceivedControl = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
  readonly #delivery: Delivery;
  readonly #sealed: readonly Sealed[];
  #count = 0;
  #nextGreeting = 0;

  constructor(overlay: Overlay, device: Device, peers: Peers, sockets: Sockets) {
    const { memory, arena, bytes } = this.#joiner;
    this.#overlay = overlay;
    this.#device = device;
    this.#peers = peers;
    this.#routes = new Routes(overlay);
    this.#memory = native.registerMemory(memory);
    this.#table = new MessageTable(memory, this.#memory, arena, LAYOUT);
    const opens = aligned(arena + messageTableSize(LAYOUT));
    this.#opens = new SealTable(memory, this.#memory, opens, OPENS);
    const sealer = aligned(opens + sealTableSize(OPENS));
    this.#sealer = new Sealer(memory, this.#memory, sealer, 1, 1, sockets);
    this.#scratch = aligned(sealer + sealerSpace(1, 1));
    const buffers = aligned(this.#scratch + BUFFER);
    for (let index = 0; index < BATCH; index += 1)
      this.#table.setPiece(index, buffers + index * BUFFER, BUFFER);
    this.#sealed = Array.from({ length: MESSAGES_MAX }, () => ({
      session: null,
      address: UNSPECIFIED[6],
      port: 0,
      counter: 0,
      at: 0,
      length: 0,
      trafficClass: 0,
    }));
    this.#delivery = {
      memory: this.#memory,
      bytes,
      at: 0,
      vector: 0,
      pieces: 0,
      length: 0,
      headersLength: 0,
    };
  }

  close(): void {
    native.unregisterMemory(this.#memory);
  }

  /** Sends a message of the device's own to a peer at an address. */
  transmit(message: Uint8Array, address: Address, port: number): void {
    this.#joiner.bytes.set(message, this.#scratch);
    this.#sealer.post({ address, port }, this.#scratch, message.length, 0, 0);
  }

  /** @param now monotonicMs() @returns how many bytes came for members */
  receive(fd: number, now: number): number {
    const count = this.#table.receive(fd, BATCH, 0);
    let brought = 0;
    for (let message = 0; message < count; message += 1) brought += this.#take(message, now);
    return brought + this.#open(now);
  }

  /** Takes the datagrams of one message. */
  #take(message: number, now: number): number {
    const table = this.#table;
    const { bytes } = this.#joiner;
    parseReceivedControl(
      bytes,
      table.controlAt(message),
      table.controlLength(message),
      this.#control,
    );
    const { segmentSize, trafficClass } = this.#control;
    const name = table.nameAt(message);
    const family = sockaddrFamily(bytes, name);
    const address = this.#addresses.at(bytes, name + sockaddrAddressOffset(family), family);
    const port = sockaddrPort(bytes, name);
    const start = table.pieceOffset(message);
    const length = table.length(message);
    const step = segmentSize === 0 ? length : segmentSize;
    let brought = 0;
    for (let done = 0; done < length; done += step) {
      const size = Math.min(step, length - done);
      brought += this.#takeOne(start + done, size, address, port, trafficClass, now);
    }
    return brought;
  }

  #takeOne(
    at: number,
    length: number,
    address: Address,
    port: number,
    trafficClass: number,
    now: number,
  ): number {
    const { bytes } = this.#joiner;
    if (messageType(bytes, at, length) !== MessageType.Data) {
      // A handshake may end sessions, or make that of the next message: what came before is opened first.
      const brought = this.#open(now);
      this.#note(this.#device.onMessage(bytes, at, length, address, port, now));
      return brought;
    }
    const session = this.#sessionOf(readU32le(bytes, at + Data.Receiver), now);
    const counter = dataCounter(bytes, at);
    if (session === null || counter === null) {
      this.#greet(address, port, now);
      this.#note(DropReason.TunnelUnknownHost);
      return 0;
    }
    const sealed = this.#sealed[this.#count];
    sealed.session = session;
    sealed.address = address;
    sealed.port = port;
    sealed.counter = counter;
    sealed.at = at + Data.Packet;
    sealed.length = length - Data.Packet;
    sealed.trafficClass = trafficClass;
    const key = session.receiveKey;
    this.#opens.describeOpen(this.#count, key, counter, sealed.at, sealed.length, sealed.at);
    this.#count += 1;
    return this.#count < MESSAGES_MAX ? 0 : this.#open(now);
  }

  /**
   * A host that sends by a session that we have not: this daemon was started again, and the other end would take 15 s to
   * notice (KEEPALIVE_TIMEOUT and REKEY_TIMEOUT of WireGuard). We begin a session of ours, as if we had something to send.
   * Whoever forges the address gains nothing: the device begins none while there is one, or one is under way.
   */
  #greet(address: Address, port: number, now: number): void {
    if (now < this.#nextGreeting) return;
    this.#nextGreeting = now + GREETING_INTERVAL;
    const peer = this.#peers.hostAt(address, port);
    if (peer !== null) this.#device.sessionFor(peer, now);
  }

  /** The session of an index, which mostly is that of the message before. */
  #sessionOf(index: number, now: number): Session<Peer> | null {
    const before = this.#count === 0 ? null : this.#sealed[this.#count - 1].session;
    return before?.localIndex === (index | 0) ? before : this.#device.lookup(index, now);
  }

  /** Opens the messages that were taken, and delivers what is in them. */
  #open(now: number): number {
    const count = this.#count;
    if (count === 0) return 0;
    this.#count = 0;
    if (this.#opens.open(count) !== count) throw new Error("a session without a key");
    let brought = 0;
    for (let start = 0; start < count; ) {
      const { session } = this.#sealed[start];
      let end = start + 1;
      while (end < count && this.#sealed[end].session === session) end += 1;
      if (session !== null) brought += this.#takeOpened(session, start, end, now);
      start = end;
    }
    return brought;
  }

  /** Takes the messages start..end-1, which are of one session. */
  #takeOpened(session: Session<Peer>, start: number, end: number, now: number): number {
    const { peer } = session;
    const key = this.#peers.keyOf(peer);
    if (key === null) return 0;
    const forwards = this.#peers.hasClients;
    let last: Sealed | null = null;
    let hasData = false;
    this.#joiner.clear();
    for (let index = start; index < end; index += 1) {
      const sealed = this.#sealed[index];
      const length = this.#opens.result(index);
      if (!this.#isNew(session, sealed, length)) continue;
      last = sealed;
      if (length === 0) continue;
      hasData = true;
      if (forwards && this.#forward(key, sealed, length, now)) continue;
      this.#joiner.add(sealed.at, length, sealed.trafficClass);
    }
    if (last === null) return 0;
    this.#device.onReceived(session, last.address, last.port, hasData, now);
    return this.#join(key);
  }

  #isNew(session: Session<Peer>, { counter }: Sealed, length: number): boolean {
    if (length < 0) this.#note(DropReason.TunnelSpoofed);
    else if (session.accept(counter)) return true;
    else this.#note(DropReason.TunnelReplayed);
    return false;
  }

  /**
   * Passes a packet on between a client of this host and another host, or another client.
   * @returns whether it is neither for a member here, nor to be dropped
   */
  #forward(key: string, { at, trafficClass }: Sealed, length: number, now: number): boolean {
    const { bytes } = this.#joiner;
    const addresses = this.#packet;
    if (!addresses.read(bytes, at, length)) return false;
    const origin = this.#routes.originOf(addresses.source, key);
    const to = origin?.trunk.ownerOf(addresses.destination) ?? null;
    if (origin === null || to === null || to.site.key === key) return false;
    const isOfClient = [origin.member, to].some(({ site }) => site.location.kind === "wireguard");
    if (!isOfClient) return false;
    const { mtu } = origin.trunk.network;
    const reason = this.#sendOn(to.site.key, at, length, mtu, trafficClass, now);
    if (reason !== 0) this.#note(reason);
    return true;
  }

  /** Seals a packet again where it is: the header in front and the tag behind it were there when it came. */
  #sendOn(
    key: string,
    at: number,
    length: number,
    mtu: number,
    trafficClass: number,
    now: number,
  ): DropReasonOrOk {
    const peer = this.#peers.peerOf(key);
    if (peer === null) return DropReason.TunnelUnknownHost;
    const session = this.#device.sessionFor(peer, now);
    if (session === null) {
      return this.#device.enqueue(peer, this.#joiner.bytes, at, length, mtu, now);
    }
    const start = at - Data.Packet;
    const counter = session.reserve(1, now);
    // It was padded by who sent it.
    this.#sealer.addInPlace(0, session, counter, start, length, length);
    if (!this.#sealer.seal(1)) return DropReason.TunnelUnreachable;
    const all = Data.Packet + length + TAG_LENGTH;
    return this.#sealer.post(peer, start, all, 0, trafficClass) === 0
      ? 0
      : DropReason.TunnelUnreachable;
  }

  /** Makes frames of the packets that were added, and delivers them. @param key of the site that they are from */
  #join(key: string): number {
    const joiner = this.#joiner;
    if (joiner.count === 0) return 0;
    const { counters } = this.#overlay.counts;
    const frames = joiner.join(JOIN);
    let brought = 0;
    for (let frame = 0; frame < frames; frame += 1) {
      const reason = this.#deliver(frame, key);
      if (reason !== 0) {
        this.#note(reason);
        continue;
      }
      const length = joiner.length(frame);
      counters[0] += 1;
      counters[1] += length;
      brought += length;
    }
    joiner.countRefused(this.#overlay.counts.drops);
    return brought;
  }

  #deliver(frame: number, key: string): DropReasonOrOk {
    const joiner = this.#joiner;
    const { bytes } = joiner;
    const at = joiner.ethernetAt(frame);
    const packet = at + ETHERNET_HEADER_LENGTH;
    const length = joiner.headerLength(frame) - ETHERNET_HEADER_LENGTH;
    const addresses = this.#packet;
    if (!addresses.read(bytes, packet, length)) return DropReason.TunnelMalformed;
    const origin = this.#routes.originOf(addresses.source, key);
    if (origin === null) return DropReason.TunnelSpoofed;
    const destination = this.#routes.macOf(origin.trunk, addresses.destination);
    if (destination === null) return DropReason.EthernetNotForUs;
    writeMac(bytes, at, destination);
    writeMac(bytes, at + 6, origin.member.mac);
    const delivery = this.#delivery;
    delivery.at = at;
    delivery.vector = joiner.iovAt(frame);
    delivery.pieces = joiner.iovCount(frame);
    delivery.length = joiner.length(frame);
    delivery.headersLength = joiner.headerLength(frame);
    return origin.trunk.deliver(origin.member, delivery);
  }

  #note(reason: DropReasonOrOk): void {
    if (reason !== 0) this.#overlay.counts.drops.count(reason);
  }
}

function aligned(offset: number): number {
  return (offset + 63) & ~63;
}
