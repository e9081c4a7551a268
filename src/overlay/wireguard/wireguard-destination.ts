import type { DropReasonOrOk } from "../../base/drop.js";
import type { PortLink } from "../../network/uplink.js";
import type { Encapsulation } from "../../stack/splitter.js";
import { TunnelLayout } from "../../stack/tunnel-frames.js";
import { wireguardOverhead } from "../../wire/tunnel/wireguard.js";
import type { Peer } from "../../wireguard/peer.js";
import { PathMtu } from "../path-mtu.js";
import type { Destination } from "../tunnel.js";

/** How a destination sends: the tunnel's outbox of that port. */
export type SendTo = (
  to: WireguardDestination,
  link: PortLink,
  offset: number,
  length: number,
) => DropReasonOrOk;

/** Sends the frames of one network to one peer. */
export class WireguardDestination implements Destination {
  readonly peer: Peer;
  readonly encapsulation: Encapsulation;
  readonly #path: PathMtu;
  readonly #send: SendTo;

  /** @param mtu the network's, in bytes */
  constructor(peer: Peer, mtu: number, send: SendTo) {
    this.peer = peer;
    this.encapsulation = { layout: TunnelLayout.Ip, vni: 0, mtu, rewrite: null };
    this.#path = new PathMtu(mtu);
    this.#send = send;
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
    const { address } = this.peer;
    if (address !== null) this.#path.learn(address, wireguardOverhead(address.family));
  }
}
