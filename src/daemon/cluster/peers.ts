import { formatEndpoint } from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import { formatMac } from "../../base/mac.js";
import type { Cluster } from "../../cluster/cluster.js";
import type { Location, MemberRecord } from "../../cluster/records.js";
import { checkPeer } from "../../commandline/peer-spec.js";
import { shortId } from "../../config/names.js";
import type { Params } from "../../rpc/messages.js";
import type { AddedPeer, PeerReport } from "../../rpc/reports.js";
import { keyPairOf, X25519_LENGTH } from "../../sys/crypto/x25519.js";
import { randomBytes } from "../../sys/random.js";
import type { Network } from "../network.js";
import type { ClusterHandlers } from "../requests/handlers.js";
import { hostReports } from "./reports.js";

export interface PeersContext {
  readonly cluster: Cluster;
  find(name: string): Promise<Network>;
  /** From now on WireGuard clients come in by this host to a network, or no longer. */
  keep(network: string): void;
  unkeep(network: string): void;
}

type Peer = MemberRecord & { readonly location: Exclude<Location, { readonly kind: "host" }> };

/** Seconds: shorter than what a NAT on the way usually forgets a silent flow after (wg(8)). */
const KEEPALIVE = 25;

/** Machines without Slipway on overlays. */
export class Peers {
  readonly #context: PeersContext;

  constructor(context: PeersContext) {
    this.#context = context;
  }

  readonly handlers: ClusterHandlers = {
    "host.list": () => hostReports(this.#context.cluster),
    "peer.add": (spec) => this.#add(spec),
    "peer.list": async ({ network }) => {
      const peers = await this.#on(await this.#overlay(network));
      return peers.map((peer) => this.#report(peer));
    },
    "peer.remove": ({ network, name }) => this.#remove(network, name),
  };

  async #add(spec: Params<"peer.add">): Promise<AddedPeer> {
    const { addresses, mac, location } = checkPeer(spec);
    const network = await this.#overlay(spec.network);
    requireFitting(network, location.kind);
    const wanted = { network: network.id, name: spec.name, addresses, mac };
    if (location.kind === "vtep") {
      const peer = await this.#context.cluster.addPeer({ ...wanted, location });
      return { peer: this.#report(peerOf(peer)), configuration: null };
    }
    const privateKey = randomBytes(X25519_LENGTH);
    const publicKey = base64(keyPairOf(privateKey).publicKey);
    const host = this.#context.cluster.self.id;
    const own = { kind: "wireguard", host, publicKey } as const;
    const peer = await this.#context.cluster.addPeer({ ...wanted, location: own });
    this.#context.keep(network.id);
    const configuration = this.#configuration(network, peer, privateKey);
    return { peer: this.#report(peerOf(peer)), configuration };
  }

  async #remove(name: string, peer: string): Promise<Record<string, never>> {
    const network = await this.#overlay(name);
    await this.#context.cluster.removePeer(network.id, peer);
    const { id } = this.#context.cluster.self;
    const others = await this.#on(network);
    const isOwn = ({ location }: Peer): boolean =>
      location.kind === "wireguard" && location.host === id;
    if (!others.some(isOwn)) this.#context.unkeep(network.id);
    return {};
  }

  async #overlay(name: string): Promise<Network> {
    const network = await this.#context.find(name);
    if (network.definition.carriage !== null) return network;
    throw new UserError(
      `network ${network.name} is on this host alone: peers are members of networks with --driver overlay`,
    );
  }

  async #on({ id }: Network): Promise<readonly Peer[]> {
    const members = await this.#context.cluster.membersOf(id);
    return members.filter(isPeer);
  }

  #report({ id, names, addresses, mac, location }: Peer): PeerReport {
    return {
      id,
      name: names[0] ?? shortId(id),
      kind: location.kind,
      addresses: addresses.map(String),
      mac: formatMac(mac),
      via:
        location.kind === "vtep"
          ? formatEndpoint(location.address, location.port)
          : this.#hostName(location.host),
    };
  }

  #hostName(id: string): string {
    return this.#context.cluster.hosts.find((host) => host.id === id)?.name ?? shortId(id);
  }

  /** For wg-quick(8). All members are reached through this host. */
  #configuration(
    { definition: { subnets, mtu } }: Network,
    { addresses }: MemberRecord,
    privateKey: Uint8Array,
  ): string {
    const { publicKey, addresses: own, wireguardPort } = this.#context.cluster.self;
    const [endpoint] = own;
    return [
      "[Interface]",
      `PrivateKey = ${base64(privateKey)}`,
      `Address = ${addresses.map((each) => `${each}/${each.bits}`).join(", ")}`,
      `MTU = ${mtu}`,
      "",
      "[Peer]",
      `PublicKey = ${publicKey}`,
      ...(endpoint === undefined ? [] : [`Endpoint = ${formatEndpoint(endpoint, wireguardPort)}`]),
      `AllowedIPs = ${subnets.map(({ prefix }) => `${prefix}`).join(", ")}`,
      `PersistentKeepalive = ${KEEPALIVE}`,
      "",
    ].join("\n");
  }
}

/** @throws UserError when machines of that kind have no tunnel to the network */
function requireFitting({ name, definition }: Network, kind: "vtep" | "wireguard"): void {
  const isEncrypted = definition.carriage?.kind === "wireguard";
  if (isEncrypted === (kind === "wireguard")) return;
  throw new UserError(
    isEncrypted
      ? `network ${name} is encrypted, and --vtep is for plain ones (--opt encrypted=false): give --wireguard`
      : `network ${name} is not encrypted, and --wireguard is for networks that are: give --vtep`,
  );
}

function isPeer(member: MemberRecord): member is Peer {
  return member.location.kind !== "host";
}

/** @throws RangeError when it is none, which addPeer() does not give */
function peerOf(member: MemberRecord): Peer {
  if (isPeer(member)) return member;
  throw new RangeError(`${member.id} is a member of a host`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
