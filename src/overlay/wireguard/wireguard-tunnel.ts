import type { Family } from "../../base/address.js";
import { monotonicMs } from "../../base/clock.js";
import type { PortLink } from "../../network/uplink.js";
import { addSealingKey, forgetSealingKey } from "../../sys/crypto/aead.js";
import { native } from "../../sys/native.js";
import { prepareTunnelSocket } from "../../sys/sockets/datagram-socket.js";
import { localAddress } from "../../sys/sockets/socket.js";
import { Device } from "../../wireguard/device.js";
import type { Peer } from "../../wireguard/peer.js";
import type { Overlay } from "../overlay.js";
import type { Destination, OverlayNetwork, Place, Tunnel } from "../tunnel.js";
import { Outbox } from "./outbox.js";
import { Peers } from "./peers.js";
import { WireguardReceiver } from "./receiver.js";
import type { Sockets } from "./sealer.js";
import { WireguardDestination } from "./wireguard-destination.js";

/** WireGuard to other hosts, and to clients of this one, by one UDP socket of each family. */
export class WireguardTunnel implements Tunnel {
  readonly sockets: readonly number[];
  readonly #overlay: Overlay;
  readonly #device: Device;
  readonly #peers: Peers;
  readonly #byFamily: Sockets;
  readonly #outboxes = new WeakMap<PortLink, Outbox>();
  #receiver: WireguardReceiver;
  /** The port that sent last, which mostly sends next, too. */
  #lastLink: PortLink | null = null;
  #lastOutbox: Outbox | null = null;

  /**
   * @param sockets bound, of one family each; the tunnel's from now on
   * @param privateKey 32 bytes
   */
  constructor(sockets: readonly number[], privateKey: Uint8Array, overlay: Overlay) {
    this.sockets = sockets;
    this.#overlay = overlay;
    const byFamily: Record<Family, number | undefined> = { 4: undefined, 6: undefined };
    for (const fd of sockets) {
      const family = localAddress(fd)?.address.family ?? 4;
      prepareTunnelSocket(fd, family);
      byFamily[family] = fd;
    }
    this.#byFamily = byFamily;
    this.#device = new Device(privateKey, {
      transmit: (message, address, port) => this.#receiver.transmit(message, address, port),
      onDrop: (reason) => overlay.counts.drops.count(reason),
      addKey: addSealingKey,
      removeKey: forgetSealingKey,
      wallClock: Date.now,
    });
    this.#peers = new Peers(overlay, this.#device);
    this.#receiver = this.#newReceiver();
  }

  destinationOf(network: OverlayNetwork, place: Place): Destination | null {
    if (network.carrier.kind !== "wireguard") return null;
    const peer = this.#peerOf(place);
    if (peer === null) return null;
    return new WireguardDestination(peer, network.mtu, (to, link, offset, length) =>
      this.#outboxOf(link).send(to, offset, length),
    );
  }

  flush(link: PortLink): void {
    if (link === this.#lastLink) this.#lastOutbox?.flush();
  }

  discard(link: PortLink): void {
    this.#outboxes.delete(link);
    if (link === this.#lastLink) this.#lastLink = null;
  }

  onReadable(socket: number): number {
    this.#peers.refresh();
    return this.#receiver.receive(this.sockets[socket], monotonicMs());
  }

  turn(now: number): number {
    this.#peers.refresh();
    // The clock of its sessions is another one than the loop's.
    const clock = monotonicMs();
    this.#device.run(clock);
    return now + Math.max(0, this.#device.nextAt - clock);
  }

  recover(): void {
    this.#receiver.close();
    this.#receiver = this.#newReceiver();
  }

  close(): void {
    for (const fd of this.sockets) native.close(fd);
    this.#peers.close();
    this.#receiver.close();
  }

  #newReceiver(): WireguardReceiver {
    return new WireguardReceiver(this.#overlay, this.#device, this.#peers, this.#byFamily);
  }

  #peerOf(place: Place): Peer | null {
    switch (place.kind) {
      case "host":
        return this.#peers.addHost(place.host);
      case "wireguard":
        return this.#peers.addClient(place.publicKey);
      case "vtep":
        return null;
    }
  }

  #outboxOf(link: PortLink): Outbox {
    if (link === this.#lastLink && this.#lastOutbox !== null) return this.#lastOutbox;
    const { counts } = this.#overlay;
    const outbox =
      this.#outboxes.get(link) ?? new Outbox(link, counts, this.#device, this.#byFamily);
    this.#outboxes.set(link, outbox);
    this.#lastLink = link;
    this.#lastOutbox = outbox;
    return outbox;
  }
}
