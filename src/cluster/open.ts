import type { Address } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { shortId } from "../config/names.js";
import type { ClusterState } from "../rpc/reports.js";
import { type Entry, type Store, StoreError } from "../store/store.js";
import { announceHost, isThisHost, withdrawHost } from "./announcement.js";
import { Claims } from "./claims/claims.js";
import { Peers } from "./claims/peers.js";
import type {
  Claim,
  Cluster,
  ClusterEvents,
  NewNetwork,
  NewPeer,
  OpenCluster,
  Wish,
} from "./cluster.js";
import { hostOfMember } from "./encoding/member.js";
import { fixedClaim } from "./fixed/claim.js";
import { HOSTS, hostKey, MEMBERS, membersOf, NETWORKS, networkKey, peersOf } from "./keys.js";
import { NetworkMaker } from "./networks.js";
import type { HostRecord, MemberRecord, NetworkRecord } from "./records.js";
import { type Leases, Session } from "./session.js";
import { Complaints } from "./views/complaints.js";
import { FollowedNetwork } from "./views/followed.js";
import { hostView, ownEntry } from "./views/hosts.js";
import { memberView } from "./views/members.js";
import { Mirrors } from "./views/mirrors.js";
import { networkView } from "./views/networks.js";
import type { View } from "./views/view.js";

/** Joins the hosts of a store, which is closed with it. */
export const openCluster: OpenCluster = (store, self, events) =>
  new StoreCluster(store, self, events);

class StoreCluster implements Cluster {
  readonly self: HostRecord;
  readonly joined: Promise<void>;
  readonly #store: Store;
  readonly #events: ClusterEvents;
  readonly #complaints: Complaints;
  readonly #hosts: View<HostRecord>;
  readonly #networks: View<NetworkRecord>;
  readonly #maker: NetworkMaker;
  readonly #session: Session;
  readonly #claims: Claims;
  readonly #peers: Peers;
  readonly #mirrors: Mirrors;
  readonly #followed = new Map<string, FollowedNetwork>();

  constructor(store: Store, self: HostRecord, events: ClusterEvents) {
    this.self = self;
    this.#store = store;
    this.#events = events;
    this.#complaints = new Complaints(store.place);
    this.#hosts = hostView(this.#complaints, self, events);
    this.#networks = networkView(this.#complaints, {
      onShown: events.onNetwork,
      onHidden: ({ id }) => this.#onNetworkGone(id),
    });
    this.#maker = new NetworkMaker(store, this.#networks, (id) => this.#nameOf(id));
    this.#session = new Session(store, {
      onState: (state, why) => this.#onState(state, why),
      onJoin: (leases) => this.#onJoin(leases),
      crowd: () => this.hosts.length,
    });
    this.#claims = this.#openClaims();
    this.#peers = new Peers(this.#claims.around, this.#claims.resting);
    this.#mirrors = new Mirrors(store, [HOSTS, NETWORKS], {
      onPut: (entry) => this.#onPut(entry),
      onDelete: (key) => this.#onDelete(key),
    });
    this.joined = this.#session.joined;
    this.#session.start();
  }

  get state(): ClusterState {
    return this.#session.state;
  }

  get why(): string | null {
    return this.#session.why;
  }

  get hosts(): readonly HostRecord[] {
    const others = [...this.#hosts.records()].filter(({ id }) => id !== this.self.id);
    return [this.self, ...others];
  }

  get networks(): readonly NetworkRecord[] {
    return [...this.#networks.records()];
  }

  async membersOf(id: string): Promise<readonly MemberRecord[]> {
    const network = this.#network(id);
    const view = memberView(network, this.#complaints, { onShown: () => {}, onHidden: () => {} });
    const listings = await Promise.all(
      [membersOf(id), peersOf(id)].map((prefix) => this.#store.list(prefix)),
    );
    for (const entry of listings.flatMap(({ entries }) => entries)) view.put(entry);
    return [...view.records()];
  }

  async population(): Promise<ReadonlyMap<string, number>> {
    const { entries } = await this.#store.list(MEMBERS);
    const found = new Map<string, number>();
    for (const { value } of entries) {
      const host = hostOfMember(value);
      if (host !== null) found.set(host, (found.get(host) ?? 0) + 1);
    }
    return found;
  }

  createNetwork(wanted: NewNetwork): Promise<NetworkRecord> {
    return this.#change(() => this.#maker.create(wanted), "networks");
  }

  removeNetwork(id: string): Promise<void> {
    return this.#change(async () => {
      const network = this.#network(id);
      if (this.#claims.isUsing(id)) {
        throw new UserError(
          `network ${network.name} is in use by members of this host: disconnect them first: slipway network inspect ${network.name}`,
        );
      }
      await this.#maker.remove(network);
    }, "networks");
  }

  async follow(id: string): Promise<void> {
    const known = this.#followed.get(id);
    if (known !== undefined) return known.current();
    const network = this.#network(id);
    const followed = new FollowedNetwork(this.#store, this.self.id, network, this.#complaints, {
      onMember: this.#events.onMember,
      onMemberGone: this.#events.onMemberGone,
      onOwnGone: () => this.#renew("somebody deleted the record of a member of this host"),
    });
    this.#followed.set(id, followed);
    for (const record of this.#claims.announcedOn(id)) followed.addOwn(record);
    await followed.current();
  }

  unfollow(id: string): void {
    this.#followed.get(id)?.close();
    this.#followed.delete(id);
  }

  claim(wish: Wish): Promise<Claim> {
    return this.#change(async () => {
      const network = this.#network(wish.network);
      if (!this.#store.isFixed) return await this.#claims.claim(wish, network);
      const members = await this.membersOf(network.id);
      return fixedClaim(this.#store.place, this.self.id, network, members, wish);
    });
  }

  addPeer(wanted: NewPeer): Promise<MemberRecord> {
    return this.#change(
      () => this.#peers.add(wanted, this.#network(wanted.network)),
      "peers of networks",
    );
  }

  removePeer(network: string, name: string): Promise<MemberRecord> {
    return this.#change(
      () => this.#peers.remove(this.#network(network), name),
      "peers of networks",
    );
  }

  async close(): Promise<void> {
    for (const id of [...this.#followed.keys()]) this.unfollow(id);
    this.#mirrors.close();
    this.#claims.close();
    const isOver = this.#claims.isEmpty;
    const isThere = this.state === "connected";
    try {
      await this.#session.close(isOver && isThere);
      if (!isOver && isThere) await withdrawHost(this.#store, this.self);
    } catch (error) {
      // Its leases end by themselves.
      if (!(error instanceof StoreError)) throw error;
    }
    this.#store.close();
  }

  /**
   * A change needs the store.
   * @param what is fixed where the store is; absent: nothing of it
   * @throws UserError at once when the store is away
   */
  async #change<T>(action: () => Promise<T>, what?: string): Promise<T> {
    if (this.#store.isFixed && what !== undefined) {
      throw new UserError(
        `${what} are what ${this.#store.place} lists: edit it, and restart the daemons`,
      );
    }
    if (this.state !== "connected") throw this.#session.away();
    return await action();
  }

  #openClaims(): Claims {
    const around = {
      nameOf: (id: string) => this.#nameOf(id),
      networkRevision: (id: string) => this.#networks.modified(networkKey(id)),
      isTaken: (id: string, address: Address) => this.#followed.get(id)?.isTaken(address) ?? false,
    };
    return new Claims(this.#store, this.self.id, this.#session, around, {
      onAnnounced: (record) => this.#followed.get(record.network)?.addOwn(record),
      onReleased: (record) => this.#followed.get(record.network)?.removeOwn(record),
      onLost: this.#events.onClaimLost,
    });
  }

  async #onJoin(leases: Leases): Promise<void> {
    await this.#mirrors.current();
    await announceHost(this.#store, this.self, leases.presence, (id) => this.#nameOf(id));
    this.#hosts.put(ownEntry(this.self));
    await this.#claims.restore(leases);
  }

  #onState(state: ClusterState, why: string | null): void {
    this.#events.onState(state, why);
    if (state === "connected") this.#claims.settle();
  }

  #onPut(entry: Entry): void {
    if (entry.key === hostKey(this.self.id)) {
      if (!isThisHost(this.self, entry)) this.#renew("another host has the id of this one");
    } else if (entry.key.startsWith(HOSTS)) {
      this.#hosts.put(entry);
    } else {
      this.#networks.put(entry);
    }
  }

  #onDelete(key: string): void {
    if (key === hostKey(this.self.id)) this.#renew("the record of this host is gone");
    else if (key.startsWith(HOSTS)) this.#hosts.delete(key);
    else this.#networks.delete(key);
  }

  #onNetworkGone(id: string): void {
    this.unfollow(id);
    this.#events.onNetworkGone(id);
  }

  /** What the store should have of this host is not there. */
  #renew(why: string): void {
    this.#claims.doubt();
    this.#session.renew(why);
  }

  /** @throws UserError when there is none */
  #network(id: string): NetworkRecord {
    const network = this.#networks.get(networkKey(id));
    if (network !== undefined) return network;
    throw new UserError(
      `there is no network ${shortId(id)} in the cluster any more: slipway network ls shows all networks`,
    );
  }

  #nameOf(id: string): string {
    return this.hosts.find((host) => host.id === id)?.name ?? shortId(id);
  }
}
