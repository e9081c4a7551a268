import { setTimeout as delay } from "node:timers/promises";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { formatMac } from "../../base/mac.js";
import type { Cluster, ClusterEvents } from "../../cluster/cluster.js";
import type { NetworkRecord } from "../../cluster/records.js";
import { checkNetwork } from "../../commandline/network-spec.js";
import { findByName, shortId } from "../../config/names.js";
import { PREDEFINED } from "../../config/predefined.js";
import type { DaemonPaths } from "../../rpc/daemon-paths.js";
import type { Params } from "../../rpc/messages.js";
import type { ClusterState, ClusterStatus, NetworkReport } from "../../rpc/reports.js";
import { randomId } from "../../sys/random.js";
import type { Attachment } from "../attachment.js";
import { chooseSubnets } from "../definition.js";
import { checkWish, type Member, requireFreeName } from "../member.js";
import type { Members } from "../members.js";
import type { Network, NetworkDefinition } from "../network.js";
import type { Networks } from "../networks.js";
import type { ClusterHandlers } from "../requests/handlers.js";
import type { DataPlane } from "../workers/plane.js";
import { Claims, type Stake } from "./claims.js";
import { Conflicts } from "./conflicts.js";
import type { Flannels } from "./flannels.js";
import { Peers } from "./peers.js";
import { Remotes } from "./remotes.js";
import { clusterStatus, everywhere } from "./reports.js";

type JoinParams = Params<"member.join">;

/** How long the start of a daemon waits for the store, in ms. */
const START_LIMIT = 1_000;

export interface OverlaysContext {
  readonly networks: Networks;
  readonly members: Members;
  readonly plane: Pick<DataPlane, "learn" | "forget" | "keepTunnels" | "tunnelStatistics">;
  /** Where the store is, for messages. */
  readonly place: string;
  readonly openCluster: (events: ClusterEvents) => Cluster;
  /** The flannel networks that this host is in. */
  readonly flannels: Flannels;
  /** Called when another network is to outlive this daemon, or one no longer is, though no member comes or goes. */
  readonly onKept: () => void;
}

/** What a daemon has that is to be in a cluster. */
export interface JoiningDaemon extends Pick<OverlaysContext, "networks" | "members" | "onKept"> {
  readonly plane: DataPlane;
  readonly paths: DaemonPaths;
}

/** Opens what is needed for a cluster, before the lock-down. @throws UserError */
export type OpenOverlays = (daemon: JoiningDaemon) => Overlays;

/** A request to join whose overlays have given what it needs. */
export interface ClaimedJoin {
  /** With addresses and MACs. */
  readonly spec: JoinParams;
  /** It has been carried out, or has failed: what no attachment has is given back. */
  readonly end: () => void;
}

/** The networks of a cluster among those of the daemon, and members of this host on them. */
export class Overlays {
  readonly cluster: Cluster;
  readonly remotes: Remotes;
  readonly #context: OverlaysContext;
  readonly #claims: Claims;
  /** Networks that this host follows without having members on them: WireGuard clients come in by it. */
  readonly #kept = new Set<string>();
  /** Of the daemon before, until the cluster has told which networks there are. */
  readonly #restored = new Set<Network>();
  readonly #conflicts: Conflicts;
  readonly #peers = new Peers(this);
  #since = Date.now();

  constructor(context: OverlaysContext) {
    this.#context = context;
    const { plane } = context;
    this.#conflicts = new Conflicts(context.networks);
    this.cluster = context.openCluster(this.#events);
    const { cluster } = this;
    this.remotes = new Remotes({ cluster, plane });
    this.#claims = new Claims({
      cluster,
      onUsed: (network) => this.remotes.follow(network),
      onUnused: (network) => this.#onUnused(network),
      onLost: (stake, why) => this.#onLost(stake, why),
    });
    // Whoever needs the store waits for this, and is told.
    cluster.joined.catch(() => undefined);
  }

  get flannels(): Flannels {
    return this.#context.flannels;
  }

  /** Where the store is. */
  get place(): string {
    return this.#context.place;
  }

  /** Since when the cluster is in its state, in ms since 1970. */
  get since(): number {
    return this.#since;
  }

  /** Resolves when the store has answered, or has failed to, or START_LIMIT is over. */
  async answered(): Promise<void> {
    const joined = this.cluster.joined.catch(() => undefined);
    await Promise.race([joined, delay(START_LIMIT, undefined, { ref: false })]);
  }

  /** Sentences for the user. */
  get warnings(): readonly string[] {
    const { state, why } = this.cluster;
    const away = state === "connected" || why === null ? [] : [why];
    return [...away, ...this.#conflicts.sentences];
  }

  /** Requests about hosts and peers. */
  get handlers(): ClusterHandlers {
    return this.#peers.handlers;
  }

  /** Those that outlive this daemon: they have members on this host, or let WireGuard clients in. */
  get lasting(): readonly Network[] {
    return this.#context.networks.overlays.filter(
      ({ id, population }) => population > 0 || this.#kept.has(id),
    );
  }

  /** A network of the daemon before. */
  restore(definition: NetworkDefinition): void {
    const network = this.#context.networks.addOverlay(definition, this.#claims);
    this.#context.networks.serveOverlay(network);
    this.#restored.add(network);
  }

  /** Takes what members of the daemon before have, which are served already, or are awaited. */
  adopt(members: readonly Member[]): void {
    for (const member of members) {
      for (const attachment of member.attachments) {
        const { network, identity, named, served } = attachment;
        if (network.definition.carriage === null) continue;
        const { id, name } = member;
        const aliases = named.names.slice(1);
        const wish = { network: network.id, member: { id, name }, aliases, ...identity };
        this.#claims.adopt(wish);
        if (served !== null) void this.show(attachment);
      }
    }
    for (const { id, population } of this.#restored) if (population === 0) this.keep(id);
  }

  /** Follows a network, also without members of this host on it. */
  keep(network: string): void {
    this.#kept.add(network);
    this.remotes.follow(network);
    this.#context.plane.keepTunnels(true);
    this.#context.onKept();
  }

  /** The last WireGuard client of this host has left a network. */
  unkeep(network: string): void {
    if (!this.#kept.delete(network)) return;
    this.#context.plane.keepTunnels(this.#kept.size > 0);
    this.#context.onKept();
    if (this.#context.networks.find(network)?.population === 0) this.remotes.unfollow(network);
  }

  /**
   * As get() of the networks, but waits for a store that has not answered yet.
   * @throws UserError when there is none, or the store is away
   */
  async find(name: string): Promise<Network> {
    const { networks } = this.#context;
    const known = networks.find(name);
    if (known !== undefined) return known;
    if (this.cluster.state === "joining") await this.cluster.joined;
    if (this.cluster.state === "cut off" && networks.find(name) === undefined) {
      throw new UserError(`network ${name} is not known on this host, and ${this.cluster.why}`);
    }
    return networks.get(name);
  }

  /** @throws UserError */
  async create(spec: Params<"network.create">): Promise<Network> {
    const { networks } = this.#context;
    const checked = checkNetwork(spec);
    const { carriage, mtu } = checked;
    if (carriage.kind === "local" || carriage.kind === "flannel") {
      throw new RangeError(`${carriage.kind} is no network of a cluster`);
    }
    networks.requireFreeName(spec.name);
    const { name, internal, labels, options } = spec;
    const own = networks.local.map(({ definition }) => definition);
    const record = await this.cluster.createNetwork({
      ...{ id: randomId(), name, internal, mtu, labels, options, carriage },
      subnets: (others) => chooseSubnets(checked, [...own, ...others]),
    });
    return this.#learn(record);
  }

  /** @throws UserError when it has members or peers, on whatever host */
  async remove({ id }: Network): Promise<void> {
    await this.cluster.removeNetwork(id);
    this.#forget(id, "it was removed");
  }

  /**
   * Takes what a request to join needs of overlays: names, addresses and MACs.
   * @throws UserError when something is taken, or the store is away; nothing is taken then
   */
  async claim(given: JoinParams): Promise<ClaimedJoin> {
    const overlays: (Network | null)[] = [];
    for (const { network } of given.attachments) overlays.push(await this.#overlay(network));
    if (overlays.every((each) => each === null)) return { spec: given, end: () => undefined };
    const { members } = this.#context;
    for (;;) {
      const identity = members.identify(given);
      const spec = { ...given, ...identity };
      const claimed = await this.#claimAs(spec, overlays);
      const now = members.identify(spec);
      if (now.id === identity.id) return claimed;
      // Another client has made that namespace a member meanwhile.
      claimed.end();
    }
  }

  /** Others see the member from now on. Resolves after CALL_LIMIT of src/store at the latest. */
  async show({ network, identity }: Attachment): Promise<void> {
    await this.#claims.show(network.id, identity.mac);
  }

  /** Members of a network on all hosts, and where they are. @param own of this host */
  async everywhere(
    network: Network,
    own: NetworkReport["Containers"],
  ): Promise<Pick<NetworkReport, "Peers" | "Containers">> {
    return everywhere(this, network, own);
  }

  async status(): Promise<ClusterStatus> {
    const { networks, plane } = this.#context;
    const own = networks.overlays.reduce((sum, { population }) => sum + population, 0);
    return clusterStatus(this, own, await plane.tunnelStatistics());
  }

  async close(): Promise<void> {
    this.flannels.close();
    await this.cluster.close();
  }

  /** null: a network of this host alone. @throws UserError when it does not exist, or cannot be used here */
  async #overlay(name: string): Promise<Network | null> {
    if (findByName(PREDEFINED, name) !== undefined) return null;
    const network = await this.find(name);
    if (network.definition.carriage === null) return null;
    this.#conflicts.requireNone(network);
    return network;
  }

  async #claimAs(
    spec: JoinParams & ReturnType<Members["identify"]>,
    overlays: readonly (Network | null)[],
  ): Promise<ClaimedJoin> {
    const others = this.#context.members.all;
    const existing = others.find(({ id, awaitedIn }) => id === spec.id && awaitedIn === null);
    if (existing === undefined) {
      requireFreeName(
        spec.name,
        others.filter(({ id }) => id !== spec.id),
      );
    }
    const member = existing ?? { id: spec.id, name: spec.name, attachments: [] };
    const stakes: Stake[] = [];
    const end = (): void => {
      for (const stake of stakes) this.#claims.release(stake);
    };
    const attachments: JoinParams["attachments"][number][] = [];
    try {
      for (const [index, wanted] of spec.attachments.entries()) {
        const network = overlays[index] ?? null;
        if (network === null) {
          attachments.push(wanted);
          continue;
        }
        const { names, addresses: given, mac } = checkWish(network, member, wanted);
        const { id, name } = member;
        const wish = { member: { id, name }, aliases: names.slice(1), addresses: given, mac };
        const stake = await this.#claims.take({ network: network.id, ...wish });
        stakes.push(stake);
        const addresses = stake.addresses.map(String);
        attachments.push({ ...wanted, network: network.id, addresses, mac: formatMac(stake.mac) });
      }
      await Promise.all(stakes.map(({ network }) => this.remotes.known(network)));
      return { spec: { ...spec, attachments }, end };
    } catch (error) {
      end();
      throw error;
    }
  }

  readonly #events: ClusterEvents = {
    onState: (state, why) => this.#onState(state, why),
    onHost: (host) => this.remotes.onHost(host),
    onHostGone: (id) => this.remotes.onHostGone(id),
    onNetwork: (network) => void this.#learn(network),
    onNetworkGone: (id) => this.#forget(id, "it was removed"),
    onMember: (member) => this.remotes.onMember(member),
    onMemberGone: (network, id) => this.remotes.onMemberGone(network, id),
    onClaimLost: (claim, why) => this.#claims.onClaimLost(claim, why),
  };

  #onState(state: ClusterState, why: string | null): void {
    this.#since = Date.now();
    if (state !== "connected") {
      log.warn(why ?? `${this.place}: ${state}`);
      return;
    }
    log.info(`connected to ${this.place}`);
    this.#sortRestored();
    this.remotes.onConnected();
    void this.#claims.onConnected();
  }

  /** Networks of the daemon before that the cluster has no more. */
  #sortRestored(): void {
    const known = new Set(this.cluster.networks.map(({ id }) => id));
    for (const { id } of this.#restored) if (!known.has(id)) this.#forget(id, "it was removed");
    this.#restored.clear();
  }

  #learn(record: NetworkRecord): Network {
    const { networks } = this.#context;
    const known = networks.overlays.find(({ id }) => id === record.id);
    // What a network is never changes: whoever writes into the store by hand changes nothing here.
    if (known !== undefined) return known;
    const { name, id } = record;
    const sameName = findByName(networks.local, name);
    if (sameName !== undefined) {
      log.warn(`this host has a network ${name} of its own: that of the cluster is ${shortId(id)}`);
    }
    const network = networks.addOverlay(record, this.#claims);
    this.#conflicts.look(network);
    return network;
  }

  #forget(id: string, why: string): void {
    const { networks, members } = this.#context;
    const network = networks.overlays.find((each) => each.id === id);
    if (network === undefined) return;
    for (const member of members.on(network)) {
      log.warn(`${member.name} has left ${network.name}: ${why}`);
      members.end(member.id, network);
    }
    this.unkeep(id);
    this.#conflicts.forget(id);
    this.remotes.unfollow(id);
    networks.removeOverlay(network);
  }

  #onUnused(network: string): void {
    if (!this.#kept.has(network)) this.remotes.unfollow(network);
  }

  #onLost({ member, network }: Stake, why: string): void {
    const { members, networks } = this.#context;
    const left = networks.find(network);
    if (left === undefined) return;
    log.warn(`${members.byName(member)?.name ?? shortId(member)} has left ${left.name}: ${why}`);
    members.end(member, left);
  }
}
