import type { Address } from "../base/address.js";
import type { DropReasonOrOk } from "../base/drop.js";

/** What a device needs from outside. It has no socket and no clock. */
export interface DeviceOutput {
  /** Sends a message to an address of the underlay. `message` is valid during the call only. */
  readonly transmit: (message: Uint8Array, address: Address, port: number) => void;
  /** Gives the addon a key of 32 bytes for aeadSeal and aeadOpen. @returns its number */
  readonly addKey: (key: Uint8Array) => number;
  readonly removeKey: (number: number) => void;
  /** The wall clock, in ms since 1970: for the timestamps of handshakes alone. */
  readonly wallClock: () => number;
}

/** Another end of tunnels, known by its public key. */
export interface Peer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Where it was last heard of, or is said to be; null: unknown until it speaks. */
  readonly address: Address | null;
  readonly port: number;
  /** What the owner knows of it, such as a host or a client. */
  owner: unknown;
}

/** Keys that a handshake made, for both directions. */
export interface Session {
  readonly peer: Peer;
  /** Numbers of its keys for the addon. */
  readonly sendKey: number;
  readonly receiveKey: number;
  /** The index that the other end knows it by: it goes into the messages that we send. */
  readonly remoteIndex: number;
  /**
   * Reserves counters for `count` messages that are sealed and sent now. Counters that are not used are lost, which
   * harms nothing.
   * @returns the first
   */
  reserve(count: number, now: number): number;
  /**
   * Whether a message that was opened with its key is new. It is asked once a message, after opening.
   * @returns false for one that was there before, or is too old to tell
   */
  accept(counter: number): boolean;
}

/** WireGuard with one private key, for any number of peers. Times are monotonic, in ms. */
export interface Device {
  readonly publicKey: Uint8Array;
  /** When run() is to be called, in ms; Infinity: never. It changes by every call. */
  readonly nextAt: number;
  /**
   * @param keepalive seconds after which a silent tunnel says something (for NAT on the way); 0: never
   * @throws Error when the key is no key, ours, or a peer's
   */
  addPeer(
    publicKey: Uint8Array,
    endpoint: { address: Address; port: number } | null,
    keepalive: number,
  ): Peer;
  /** Forgets it with its sessions. */
  removePeer(peer: Peer): void;
  /** The owner knows a new address of the peer, such as one from the store. */
  moveTo(peer: Peer, address: Address, port: number): void;
  /**
   * A message of a handshake: of type 1, 2 or 3.
   * @returns why it was dropped, or 0
   */
  onMessage(
    bytes: Uint8Array,
    offset: number,
    length: number,
    address: Address,
    port: number,
    now: number,
  ): DropReasonOrOk;
  /** The session of a data message (type 4) by the receiver index in it; null: there is none, or none that is still good. */
  lookup(receiverIndex: number, now: number): Session | null;
  /**
   * Messages of a session were opened and accepted: the session is confirmed, timers run, and the peer is at that
   * address from now on. It is called once a batch.
   * @param hasData whether one of them had a payload (without, they are keepalives)
   */
  onReceived(session: Session, address: Address, port: number, hasData: boolean, now: number): void;
  /** The session to send by; null when there is none yet: a handshake is under way, or begins now. */
  sessionFor(peer: Peer, now: number): Session | null;
  /** Keeps a copy of an IP packet until there is a session, when it is sealed and transmitted. The oldest go first. */
  enqueue(peer: Peer, bytes: Uint8Array, offset: number, length: number, now: number): void;
  /** Carries out what is due. */
  run(now: number): void;
}
