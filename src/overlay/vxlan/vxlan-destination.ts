import type { Address } from "../../base/address.js";
import { monotonicMs } from "../../base/clock.js";
import type { DropReasonOrOk } from "../../base/drop.js";
import type { PortLink } from "../../network/uplink.js";
import type { Encapsulation } from "../../stack/splitter.js";
import { TunnelLayout } from "../../stack/tunnel-frames.js";
import { writeSockaddr } from "../../sys/sockets/sockaddr.js";
import { pathMtu } from "../../sys/sockets/socket.js";
import { vxlanOverhead } from "../../wire/tunnel/vxlan.js";
import type { Destination, OverlayNetwork } from "../tunnel.js";

/** The least MTU of IPv6 (RFC 8200 §5): members are told of no less, and the kernel fragments what is left. */
const LEAST_MTU = 1280;
/** After so many ms the MTU that members were told is tried again (RFC 1191 §6.3). */
const MTU_MEMORY = 600_000;

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
  #mtu: number;
  #loweredAt = 0;

  /** @param send sends a frame there */
  constructor(
    network: OverlayNetwork & { readonly vni: number },
    address: Address,
    port: number,
    fd: number,
    send: (to: VxlanDestination, link: PortLink, offset: number, length: number) => DropReasonOrOk,
  ) {
    const { vni, mtu } = network;
    this.address = address;
    this.port = port;
    this.fd = fd;
    this.encapsulation = { layout: TunnelLayout.Vxlan, vni, mtu, rewrite: null };
    this.#send = send;
    this.#mtu = mtu;
  }

  get mtu(): number {
    return this.#mtu;
  }

  /** Whether it takes less than the network's MTU. */
  get isNarrow(): boolean {
    if (this.#mtu === this.encapsulation.mtu) return false;
    if (monotonicMs() - this.#loweredAt > MTU_MEMORY) this.#mtu = this.encapsulation.mtu;
    return this.#mtu < this.encapsulation.mtu;
  }

  send(link: PortLink, offset: number, length: number): DropReasonOrOk {
    return this.#send(this, link, offset, length);
  }

  /** The kernel refused what the network's MTU allows: asks it for the path's. */
  learnMtu(): void {
    const path = pathMtu(this.address) - vxlanOverhead(this.address.family);
    this.#mtu = Math.min(Math.max(path, LEAST_MTU), this.encapsulation.mtu);
    this.#loweredAt = monotonicMs();
  }

  /** Writes its socket address. @returns the length in bytes */
  writeName(bytes: Uint8Array, offset: number): number {
    return writeSockaddr(bytes, offset, this.address, this.port);
  }
}
