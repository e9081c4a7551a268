import type { Address } from "../../base/address.js";
import { NEVER } from "../../base/clock.js";
import type { Device } from "../../wireguard/device.js";
import type { Peer } from "../../wireguard/peer.js";
import type { SessionPeer } from "../../wireguard/session.js";
import type { Overlay } from "../overlay.js";
import { clientKey, hostKey } from "../trunk.js";
import type { OverlayHost } from "../tunnel.js";

/** A peer of the device. */
interface Known {
  readonly peer: Peer;
  /** Where the store says that it is; null: it is a client, which says so itself. */
  address: Address | null;
  port: number;
}

/** The peers of the device: all hosts, and the clients of this one. Both are by the key of their site. */
export class Peers {
  readonly #overlay: Overlay;
  readonly #device: Device;
  readonly #known = new Map<string, Known>();
  readonly #keys = new Map<SessionPeer, string>();
  #clients = 0;
  #generation = -1;

  constructor(overlay: Overlay, device: Device) {
    this.#overlay = overlay;
    this.#device = device;
  }

  /** Whether this host has clients, so that it forwards for them. */
  get hasClients(): boolean {
    return this.#clients > 0;
  }

  /** Key of the site that a peer is; null: it is gone. */
  keyOf(peer: SessionPeer): string | null {
    return this.#keys.get(peer) ?? null;
  }

  /** The peer of a site; null: there is none, or its key is no key, or another's. */
  peerOf(key: string): Peer | null {
    return this.#known.get(key)?.peer ?? null;
  }

  /** The host that the store says is there; null: none is. It costs a look at each. */
  hostAt(address: Address, port: number): Peer | null {
    for (const known of this.#known.values()) {
      if (known.port === port && known.address?.equals(address) === true) return known.peer;
    }
    return null;
  }

  /** @returns null: its key is none, or another's */
  addHost(host: OverlayHost): Peer | null {
    const { id, publicKey, address, wireguardPort } = host;
    const key = hostKey(id);
    const known = this.#known.get(key);
    if (known !== undefined && !isSame(known.peer.publicKey, publicKey)) this.#remove(key, known);
    const { peer = null } = this.#add(key, publicKey) ?? {};
    const entry = this.#known.get(key);
    const hasMoved =
      entry !== undefined &&
      (entry.port !== wireguardPort || entry.address?.equals(address) !== true);
    if (!hasMoved) return peer;
    entry.address = address;
    entry.port = wireguardPort;
    entry.peer.settle(address, wireguardPort);
    return peer;
  }

  /** @returns null: its key is none, or another's */
  addClient(publicKey: Uint8Array): Peer | null {
    const key = clientKey(publicKey);
    const isNew = !this.#known.has(key);
    const known = this.#add(key, publicKey);
    if (isNew && known !== null) this.#clients += 1;
    return known?.peer ?? null;
  }

  /** Follows what has changed of hosts and clients. */
  refresh(): void {
    const { generation } = this.#overlay;
    if (generation === this.#generation) return;
    this.#generation = generation;
    const wanted = new Set<string>();
    for (const host of this.#overlay.hosts) {
      wanted.add(hostKey(host.id));
      this.addHost(host);
    }
    for (const { network, sites } of this.#overlay.trunks) {
      if (network.carrier.kind !== "wireguard") continue;
      for (const { key, location } of sites) if (location.kind === "wireguard") wanted.add(key);
    }
    for (const [key, known] of this.#known) if (!wanted.has(key)) this.#remove(key, known);
  }

  /** Forgets all. */
  close(): void {
    for (const [key, known] of this.#known) this.#remove(key, known);
  }

  #add(key: string, publicKey: Uint8Array): Known | null {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const peer = this.#device.addPeer(publicKey, NEVER);
    if (peer === null) return null;
    const made = { peer, address: null, port: 0 };
    this.#known.set(key, made);
    this.#keys.set(peer, key);
    return made;
  }

  #remove(key: string, { peer }: Known): void {
    this.#known.delete(key);
    this.#keys.delete(peer);
    this.#device.removePeer(peer);
    if (key === clientKey(peer.publicKey)) this.#clients -= 1;
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
