import type { Address } from "../../base/address.js";
import type { DropReasonOrOk } from "../../base/drop.js";
import type { PortLink } from "../../network/uplink.js";
import type { Encapsulation } from "../../stack/splitter.js";
import { TunnelLayout } from "../../stack/tunnel-frames.js";
import { writeSockaddr } from "../../sys/sockets/sockaddr.js";
import { vxlanOverhead } from "../../wire/tunnel/vxlan.js";
import { PathMtu } from "../path-mtu.js";
import type { Destination, OverlayNetwork } from "../tunnel.js";

/** Sends the frames of one network to one VTEP. */
export class VxlanDestination implements Destination {
  readonly address: Address;
  readonly port: number;
  /** A socket of the address' family. */
  readonly fd: number;
  readonly encapsulation: Encapsulation;
  readonly #send: (
    to: VxlanDestination,
    link: PortLink,
    offset: number,
    length: number,
  ) => DropReasonOrOk;
  readonly #path: PathMtu;

  /** @param send sends a frame there */
  constructor(
    network: Pick<OverlayNetwork, "mtu"> & Pick<Encapsulation, "vni" | "rewrite">,
    address: Address,
    port: number,
    fd: number,
    send: (to: VxlanDestination, link: PortLink, offset: number, length: number) => DropReasonOrOk,
  ) {
    const { vni, mtu, rewrite } = network;
    this.address = address;
    this.port = port;
    this.fd = fd;
    this.encapsulation = { layout: TunnelLayout.Vxlan, vni, mtu, rewrite };
    this.#send = send;
    this.#path = new PathMtu(mtu);
  }

  get mtu(): number {
    return this.#path.mtu;
  }

  /** Whether it takes less than the network's MTU. */
  get isNarrow(): boolean {
    return this.#path.isNarrow;
  }

  send(link: PortLink, offset: number, length: number): DropReasonOrOk {
    return this.#send(this, link, offset, length);
  }

  /** The kernel refused what the network's MTU allows: asks it for the path's. */
  learnMtu(): void {
    this.#path.learn(this.address, vxlanOverhead(this.address.family));
  }

  /** Writes its socket address. @returns the length in bytes */
  writeName(bytes: Uint8Array, offset: number): number {
    return writeSockaddr(bytes, offset, this.address, this.port);
  }
}
