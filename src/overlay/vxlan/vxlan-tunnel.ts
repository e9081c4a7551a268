import type { Address, Family } from "../../base/address.js";
import { NEVER } from "../../base/clock.js";
import type { PortLink } from "../../network/uplink.js";
import { native } from "../../sys/native.js";
import { prepareTunnelSocket } from "../../sys/sockets/datagram-socket.js";
import { localAddress } from "../../sys/sockets/socket.js";
import type { Overlay } from "../overlay.js";
import type { Destination, OverlayNetwork, Place, Tunnel } from "../tunnel.js";
import { Outboxes } from "./outboxes.js";
import { VxlanDestination } from "./vxlan-destination.js";
import { VxlanInbound } from "./vxlan-inbound.js";
import { VxlanReceiver } from "./vxlan-receiver.js";

/** Plain VXLAN (RFC 7348) to other hosts and to peers, by one UDP socket of each family. */
export class VxlanTunnel implements Tunnel {
  readonly sockets: readonly number[];
  readonly #overlay: Overlay;
  readonly #outboxes: Outboxes;
  readonly #byFamily: Readonly<Record<Family, number | undefined>>;
  #receiver: VxlanReceiver;

  /** @param sockets bound, of one family each; the tunnel's from now on */
  constructor(sockets: readonly number[], overlay: Overlay) {
    this.sockets = sockets;
    this.#overlay = overlay;
    this.#outboxes = new Outboxes(overlay.counts);
    const byFamily: Record<Family, number | undefined> = { 4: undefined, 6: undefined };
    for (const fd of sockets) {
      const family = localAddress(fd)?.address.family ?? 4;
      prepareTunnelSocket(fd, family);
      byFamily[family] = fd;
    }
    this.#byFamily = byFamily;
    this.#receiver = new VxlanReceiver(new VxlanInbound(overlay), false);
  }

  destinationOf(network: OverlayNetwork, place: Place): Destination | null {
    const { carrier } = network;
    if (carrier.kind !== "vxlan" || place.kind === "wireguard") return null;
    const { address, port } = vtepOf(place);
    const fd = this.#byFamily[address.family];
    if (fd === undefined) return null;
    const options = { ...network, vni: carrier.vni, rewrite: null };
    return new VxlanDestination(options, address, port, fd, (to, link, offset, length) =>
      this.#outboxes.of(link).send(to, offset, length),
    );
  }

  flush(link: PortLink): void {
    this.#outboxes.flush(link);
  }

  discard(link: PortLink): void {
    this.#outboxes.discard(link);
  }

  onReadable(socket: number, now: number): number {
    return this.#receiver.receive(this.sockets[socket], now);
  }

  turn(): number {
    return NEVER;
  }

  recover(): void {
    this.#receiver.close();
    this.#receiver = new VxlanReceiver(new VxlanInbound(this.#overlay), false);
  }

  close(): void {
    for (const fd of this.sockets) native.close(fd);
    this.#receiver.close();
  }
}

/** Where the VTEP of a place is. */
export function vtepOf(place: Exclude<Place, { kind: "wireguard" }>): {
  readonly address: Address;
  readonly port: number;
} {
  return place.kind === "vtep"
    ? place
    : { address: place.host.address, port: place.host.vxlanPort };
}
