import type { Address } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import type { ClusterState } from "../rpc/reports.js";
import type { Store } from "../store/store.js";
import type { HostRecord, MemberRecord, NetworkRecord } from "./records.js";

/** What a member wants on an overlay. */
export interface Wish {
  /** Id of the network. */
  readonly network: string;
  readonly member: { readonly id: string; readonly name: string };
  readonly aliases: readonly string[];
  /** At most one of each family; a family without one gets a free one. */
  readonly addresses: readonly Address[];
  /** null: one is made of the first address. */
  readonly mac: Mac | null;
}

/** What a member has on an overlay until it is released: nobody else in the cluster gets it. */
export interface Claim {
  readonly record: MemberRecord;
  /**
   * Others see the member from now on, or as soon as the store is back.
   * @throws UserError when its network was removed meanwhile, or somebody has a part of it: it is lost
   */
  announce(): Promise<void>;
  /** Others see it no more, and its addresses rest. It is carried out later when the store is away. */
  release(): Promise<void>;
}

/** What a cluster reports, also to a newcomer: everything that there is, one by one. */
export interface ClusterEvents {
  /** @param why a sentence; null: connected */
  readonly onState: (state: ClusterState, why: string | null) => void;
  /** Another host, or what it changed. */
  readonly onHost: (host: HostRecord) => void;
  readonly onHostGone: (id: string) => void;
  readonly onNetwork: (network: NetworkRecord) => void;
  readonly onNetworkGone: (id: string) => void;
  /** A member of a network that is followed, not on this host. */
  readonly onMember: (member: MemberRecord) => void;
  readonly onMemberGone: (network: string, id: string) => void;
  /** Another host has what we had: we were cut off for too long. */
  readonly onClaimLost: (claim: Claim, why: string) => void;
}

/** What the daemon asks of a cluster. Every call ends within CALL_LIMIT of src/store. */
export interface Cluster {
  readonly state: ClusterState;
  /** A sentence of why it is not connected; null: it is. */
  readonly why: string | null;
  /**
   * Resolves when the first attempt to join has succeeded. Whatever it says, further ones follow until close().
   * @throws StoreError the store is away
   * @throws UserError another host has the endpoint, or the id, of this one
   */
  readonly joined: Promise<void>;
  readonly self: HostRecord;
  /** This one first. */
  readonly hosts: readonly HostRecord[];
  readonly networks: readonly NetworkRecord[];
  /** Members of a network on all hosts, and its peers, which need not be followed. @throws StoreError */
  membersOf(network: string): Promise<readonly MemberRecord[]>;
  /** Members of each host, by its id. @throws StoreError */
  population(): Promise<ReadonlyMap<string, number>>;
  /** @throws UserError */
  createNetwork(wanted: NewNetwork): Promise<NetworkRecord>;
  /** @throws UserError when it has members or peers, on whatever host */
  removeNetwork(id: string): Promise<void>;
  /** Has members of a network reported. @returns resolves when those that there are have been */
  follow(network: string): Promise<void>;
  unfollow(network: string): void;
  /** @throws UserError when something of it is taken, or the store is away */
  claim(wish: Wish): Promise<Claim>;
  /** Makes a machine without Slipway a member. @throws UserError */
  addPeer(wanted: NewPeer): Promise<MemberRecord>;
  /** @throws UserError when there is no such peer */
  removePeer(network: string, name: string): Promise<MemberRecord>;
  /** Ends it. What members still have stays theirs for as long as its lease lasts. */
  close(): Promise<void>;
}

/** Joins the hosts of a store. */
export type OpenCluster = (store: Store, self: HostRecord, events: ClusterEvents) => Cluster;

/** A network to create: what is null is chosen. */
export interface NewNetwork
  extends Pick<NetworkRecord, "id" | "name" | "internal" | "mtu" | "labels" | "options"> {
  /**
   * Chooses and checks its subnets. It is called again when another host was faster.
   * @param others networks of the cluster
   * @throws UserError
   */
  readonly subnets: (others: readonly NetworkRecord[]) => NetworkRecord["subnets"];
  /** `vni`: null for a free one. */
  readonly carriage:
    | { readonly kind: "wireguard" }
    | { readonly kind: "vxlan"; readonly vni: number | null };
}

/** A peer to add. A family of the network without an address gets a free one, but for a VTEP with one address or more. */
export interface NewPeer {
  readonly network: string;
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly mac: Mac | null;
  readonly location: Exclude<MemberRecord["location"], { readonly kind: "host" }>;
}
