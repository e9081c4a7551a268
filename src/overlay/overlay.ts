import type { Address } from "../base/address.js";
import { DropCounters } from "../base/drop.js";
import type { FrameCounters } from "../rpc/reports.js";
import { type FlannelNetwork, FlannelTrunk } from "./flannel/flannel-trunk.js";
import { Trunk } from "./trunk.js";
import type {
  Carrier,
  Location,
  OverlayHost,
  OverlayNetwork,
  Place,
  RemoteIdentity,
  Tunnel,
  TunnelCounts,
} from "./tunnel.js";

/** The tunnels of a thread; null: it has no such sockets. */
export interface Tunnels {
  readonly vxlan: Tunnel | null;
  readonly wireguard: Tunnel | null;
}

const NO_TUNNELS: Tunnels = { vxlan: null, wireguard: null };

/** All overlay networks, as one thread knows them. */
export class Overlay {
  /** What its tunnels have done, also those that are closed. */
  readonly counts: TunnelCounts = { drops: new DropCounters(), counters: new Float64Array(4) };
  readonly #trunks = new Map<string, Trunk>();
  readonly #byVni = new Map<number, Trunk>();
  readonly #flannels = new Map<string, FlannelTrunk>();
  readonly #hosts = new Map<string, OverlayHost>();
  #tunnels = NO_TUNNELS;
  #generation = 0;
  /** Of the address that was asked for last. */
  #asked: Address | null = null;
  #askedAt = -1;
  #isKnown = false;

  /** The trunk of a network; null: it has members on this host alone, or is unknown. */
  trunk(network: string): Trunk | FlannelTrunk | null {
    return this.#trunks.get(network) ?? this.#flannels.get(network) ?? null;
  }

  /** The trunk of a flannel network; null: it is none, or unknown. */
  flannel(network: string): FlannelTrunk | null {
    return this.#flannels.get(network) ?? null;
  }

  /** The trunk of the plain network with that VXLAN network identifier (RFC 7348 §4). */
  trunkOfVni(vni: number): Trunk | null {
    return this.#byVni.get(vni) ?? null;
  }

  /** Counts changes of networks, hosts and sites: they invalidate what others have cached of them. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether an address is that of a host, or of a peer's VTEP. */
  isKnown(address: Address): boolean {
    if (address !== this.#asked || this.#askedAt !== this.#generation) {
      this.#asked = address;
      this.#askedAt = this.#generation;
      this.#isKnown = this.#search(address);
    }
    return this.#isKnown;
  }

  #search(address: Address): boolean {
    for (const host of this.#hosts.values()) if (host.address.equals(address)) return true;
    for (const { sites } of this.#trunks.values()) {
      for (const site of sites) if (site.address?.equals(address) === true) return true;
    }
    return false;
  }

  /** All trunks. */
  get trunks(): Iterable<Trunk> {
    return this.#trunks.values();
  }

  /** All hosts. */
  get hosts(): Iterable<OverlayHost> {
    return this.#hosts.values();
  }

  get statistics(): { readonly counters: FrameCounters; readonly drops: DropCounters } {
    const [framesIn, bytesIn, framesOut, bytesOut] = this.counts.counters;
    return { counters: { framesIn, bytesIn, framesOut, bytesOut }, drops: this.counts.drops };
  }

  /** From now on frames take these tunnels. The caller closes those before. */
  use(tunnels: Tunnels): void {
    this.#tunnels = tunnels;
    for (const trunk of this.#trunks.values()) trunk.refresh();
  }

  /** @returns removes it */
  addNetwork(network: OverlayNetwork): () => void {
    const trunk = new Trunk(network, {
      placeOf: (location) => this.#placeOf(location),
      tunnelOf: ({ carrier }) => this.#tunnels[carrier.kind],
      onSites: () => {
        this.#generation += 1;
      },
    });
    this.#generation += 1;
    this.#trunks.set(network.id, trunk);
    if (network.carrier.kind === "vxlan") this.#byVni.set(network.carrier.vni, trunk);
    return () => {
      this.#generation += 1;
      this.#trunks.delete(network.id);
      this.#removeVni(network.carrier, trunk);
    };
  }

  /** @returns removes it. The caller closes its tunnel. */
  addFlannel(network: FlannelNetwork): () => void {
    this.#flannels.set(network.id, new FlannelTrunk(network));
    return () => {
      this.#flannels.delete(network.id);
    };
  }

  /** @returns removes it */
  addHost(host: OverlayHost): () => void {
    this.#hosts.set(host.id, host);
    this.#onHost(host.id);
    return () => {
      this.#hosts.delete(host.id);
      this.#onHost(host.id);
    };
  }

  /** @returns removes it; null: its network is no overlay */
  addRemote(network: string, identity: RemoteIdentity): (() => void) | null {
    return this.#trunks.get(network)?.add(identity) ?? null;
  }

  #removeVni(carrier: Carrier, trunk: Trunk): void {
    if (carrier.kind === "vxlan" && this.#byVni.get(carrier.vni) === trunk)
      this.#byVni.delete(carrier.vni);
  }

  #placeOf(location: Location): Place | null {
    if (location.kind !== "host") return location;
    const host = this.#hosts.get(location.host);
    return host === undefined ? null : { kind: "host", host };
  }

  #onHost(id: string): void {
    this.#generation += 1;
    for (const trunk of this.#trunks.values()) trunk.refreshHost(id);
  }
}
