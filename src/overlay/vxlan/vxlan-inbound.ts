import type { Address } from "../../base/address.js";
import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import { readMac } from "../../base/mac.js";
import type { Delivery } from "../../network/switch.js";
import type { Joiner } from "../../stack/joiner.js";
import type { Overlay } from "../overlay.js";
import type { Trunk } from "../trunk.js";
import type { TunnelCounts } from "../tunnel.js";
import type { Inbound } from "./vxlan-receiver.js";

/** Takes what hosts of the cluster and VTEP peers send, for the members that it is for. */
export class VxlanInbound implements Inbound {
  readonly #overlay: Overlay;
  /** The last trunk, which mostly is the next, too. */
  #vni = -1;
  #trunk: Trunk | null = null;
  #generation = -1;

  constructor(overlay: Overlay) {
    this.#overlay = overlay;
  }

  get counts(): TunnelCounts {
    return this.#overlay.counts;
  }

  isKnown(source: Address): boolean {
    return this.#overlay.isKnown(source);
  }

  deliver(joiner: Joiner, frame: number, source: Address, delivery: Delivery): DropReasonOrOk {
    const trunk = this.#trunkOf(joiner.vni(frame));
    if (trunk === null) return DropReason.EthernetNotForUs;
    const from = trunk.remoteAt(readMac(joiner.bytes, delivery.at + 6));
    if (from === null || from.site.address?.equals(source) !== true)
      return DropReason.TunnelSpoofed;
    return trunk.deliver(from, delivery);
  }

  #trunkOf(vni: number): Trunk | null {
    const { generation } = this.#overlay;
    if (vni === this.#vni && generation === this.#generation) return this.#trunk;
    this.#vni = vni;
    this.#generation = generation;
    this.#trunk = this.#overlay.trunkOfVni(vni);
    return this.#trunk;
  }
}
