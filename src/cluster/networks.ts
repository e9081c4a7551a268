import { setTimeout as delay } from "node:timers/promises";
import { monotonicMs } from "../base/clock.js";
import { UserError } from "../base/errors.js";
import { isTaken } from "../config/names.js";
import {
  CALL_LIMIT,
  type Condition,
  type Entry,
  type Outcome,
  type Store,
} from "../store/store.js";
import { conditionsFor } from "./announcement.js";
import type { NewNetwork } from "./cluster.js";
import { decodeMember, decodePeer } from "./encoding/member.js";
import { decodeNetwork, encodeNetwork, VNI_RANGE } from "./encoding/network.js";
import { LONGEST_VALUE, Nonsense } from "./encoding/values.js";
import {
  addressesOf,
  macsOf,
  membersOf,
  NETWORKS,
  networkKey,
  networkNameKey,
  peersOf,
  REVISION,
} from "./keys.js";
import type { NetworkRecord } from "./records.js";
import { clash } from "./views/networks.js";
import type { View } from "./views/view.js";

/** VNIs are chosen from here on, as docker does: small ones are what people choose. */
const FIRST_VNI = 4096;

/** Between attempts of hosts that create networks at once, in ms, on average. */
const PAUSE = 20;

/** How long a new network may take to come back from the store, in ms. */
const SHOWN_WITHIN = 2_000;

/** Creates and removes networks of a cluster. */
export class NetworkMaker {
  readonly #store: Store;
  readonly #view: View<NetworkRecord>;
  readonly #nameOf: (host: string) => string;

  /** @param nameOf the name of a host, by its id */
  constructor(store: Store, view: View<NetworkRecord>, nameOf: (host: string) => string) {
    this.#store = store;
    this.#view = view;
    this.#nameOf = nameOf;
  }

  /**
   * Takes a name, subnets and a VNI. Whoever else creates or removes a network meanwhile changes the key REVISION, and it
   * is chosen again.
   * @throws UserError
   */
  async create(wanted: NewNetwork): Promise<NetworkRecord> {
    const deadline = monotonicMs() + CALL_LIMIT;
    while (monotonicMs() < deadline) {
      // In this order: what is older than the networks guards them.
      const revision = (await this.#store.list(REVISION)).entries.filter(isRevision);
      const { entries } = await this.#store.list(NETWORKS);
      const network = choose(wanted, recordsOf(entries));
      if (await this.#put(network, revision)) {
        await this.#shown(network.id, true);
        return network;
      }
      await delay(PAUSE * 2 * Math.random());
    }
    throw new UserError(`${this.#store.place}: too many hosts create networks at once: try again`);
  }

  /** @throws UserError */
  async remove(network: NetworkRecord): Promise<void> {
    const { id, name } = network;
    const conditions: readonly Condition[] = [
      { kind: "empty", prefix: membersOf(id) },
      { kind: "empty", prefix: peersOf(id) },
    ];
    const outcome = await this.#store.commit(conditions, [
      { kind: "delete", key: networkKey(id) },
      { kind: "delete", key: networkNameKey(name) },
      { kind: "delete below", prefix: addressesOf(id) },
      { kind: "delete below", prefix: macsOf(id) },
      { kind: "put", key: REVISION, value: id, lease: null },
    ]);
    if (!outcome.done) throw this.#inUse(network, outcome);
    await this.#shown(id, false);
  }

  async #put(network: NetworkRecord, revision: readonly Entry[]): Promise<boolean> {
    const { id, name } = network;
    const value = encodeNetwork(network);
    if (value.length > LONGEST_VALUE) {
      throw new UserError(`network ${name} has too many labels and options: leave some out`);
    }
    const outcome = await this.#store.commit(
      [
        { kind: "absent", key: networkNameKey(name) },
        { kind: "absent", key: networkKey(id) },
        ...revision.map(({ key, modified }): Condition => ({ kind: "unchanged", key, modified })),
        ...(revision.length === 0 ? conditionsFor([REVISION], []) : []),
      ],
      [
        { kind: "put", key: networkNameKey(name), value: id, lease: null },
        { kind: "put", key: networkKey(id), value, lease: null },
        { kind: "put", key: REVISION, value: id, lease: null },
      ],
    );
    const taken = outcome.found.some(({ key }) => key === networkNameKey(name));
    if (taken) throw exists(name);
    return outcome.done;
  }

  #inUse({ id, name }: NetworkRecord, { found }: Outcome): UserError {
    const network = this.#view.get(networkKey(id));
    const member = found[0];
    const advice = `disconnect its members first: slipway network inspect ${name}`;
    if (network === undefined || member === undefined) {
      return new UserError(`network ${name} is in use: ${advice}`);
    }
    if (member.key.startsWith(peersOf(id))) {
      const peer = decodePeer(network, member.key, member.value);
      const peerName = peer instanceof Nonsense ? "that makes no sense" : peer.names[0];
      return new UserError(
        `network ${name} has peer ${peerName}: slipway network peer rm ${name} ${peerName}`,
      );
    }
    const record = decodeMember(network, member.key, member.value);
    if (record instanceof Nonsense || record.location.kind !== "host") {
      return new UserError(`network ${name} is in use: ${advice}`);
    }
    const host = this.#nameOf(record.location.host);
    return new UserError(
      `network ${name} is in use by ${record.names[0]} on host ${host}: ${advice}`,
    );
  }

  /** Waits until the mirror has it, too: who creates a network goes on to use it. */
  async #shown(id: string, isThere: boolean): Promise<void> {
    const deadline = monotonicMs() + SHOWN_WITHIN;
    while (monotonicMs() < deadline && (this.#view.get(networkKey(id)) !== undefined) !== isThere) {
      await delay(1);
    }
  }
}

function isRevision({ key }: Entry): boolean {
  return key === REVISION;
}

function recordsOf(entries: readonly Entry[]): readonly NetworkRecord[] {
  return entries.flatMap(({ key, value }) => {
    const record = decodeNetwork(key, value);
    return record instanceof Nonsense ? [] : [record];
  });
}

/** @throws UserError when what it wants is taken */
function choose(wanted: NewNetwork, others: readonly NetworkRecord[]): NetworkRecord {
  const { id, name, internal, mtu, labels, options, carriage } = wanted;
  if (others.some((each) => isTaken(name, each))) throw exists(name);
  const subnets = wanted.subnets(others);
  const network: NetworkRecord = {
    ...{ id, name, created: Date.now(), subnets, internal, mtu, labels, options },
    carriage:
      carriage.kind === "wireguard"
        ? carriage
        : { kind: "vxlan", vni: chooseVni(carriage.vni, others) },
  };
  const other = others.find((each) => clash(network, each) !== null);
  if (other === undefined) return network;
  throw new UserError(
    `--subnet ${subnets.map(({ prefix }) => prefix).join(" and ")} overlaps network ${other.name}: choose another`,
  );
}

function exists(name: string): UserError {
  return new UserError(
    `network ${name} exists in the cluster: choose another name, or slipway network rm ${name}`,
  );
}

function chooseVni(wanted: number | null, others: readonly NetworkRecord[]): number {
  const users = new Map(
    others.flatMap(({ carriage, name }) =>
      carriage.kind === "vxlan" ? [[carriage.vni, name] as const] : [],
    ),
  );
  if (wanted === null) {
    for (let vni = FIRST_VNI; vni <= VNI_RANGE.most; vni += 1) if (!users.has(vni)) return vni;
    throw new UserError("no VNI is free in the cluster: remove a network");
  }
  const user = users.get(wanted);
  if (user === undefined) return wanted;
  throw new UserError(`--opt vni=${wanted} is that of network ${user}: choose another`);
}
