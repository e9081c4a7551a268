import type { Address, Prefix } from "../../base/address.js";
import { monotonicMs } from "../../base/clock.js";
import { UserError } from "../../base/errors.js";
import { formatMac, type Mac } from "../../base/mac.js";
import { shortId } from "../../config/names.js";
import { networkMac } from "../../network/plans.js";
import {
  CALL_LIMIT,
  type Condition,
  type Entry,
  type Operation,
  type Outcome,
  type Store,
  StoreError,
} from "../../store/store.js";
import { conditionsFor } from "../announcement.js";
import { misfit } from "../encoding/member.js";
import { decodeOwner, encodeOwner, type Owner, type Resting } from "../encoding/owner.js";
import { Nonsense } from "../encoding/values.js";
import {
  ADDRESSES,
  addressesOf,
  addressKey,
  macKey,
  macsOf,
  nameKey,
  networkKey,
} from "../keys.js";
import type { NetworkRecord } from "../records.js";
import type { Leases } from "../session.js";
import { chooseAddress, macOf, randomMac } from "./choice.js";

/** What a member has that nobody else has. */
export interface Identity {
  readonly addresses: readonly Address[];
  readonly mac: Mac;
}

/** What is to be taken, in one transaction. */
export interface Wanted {
  readonly network: NetworkRecord;
  /** null: of a peer. */
  readonly host: string | null;
  /** Its id. */
  readonly member: string;
  readonly name: string;
  readonly addresses: readonly Address[];
  /** Whether a family of the network without an address gets a free one. */
  readonly isCompleted: boolean;
  /** null: made of the first address. */
  readonly mac: Mac | null;
  /** null: it stays. */
  readonly leases: Leases | null;
  /** What else is put into the store. */
  readonly record: (identity: Identity) => readonly Operation[];
  /** Whether it has all of it already, as far as we know. */
  readonly isOurs: boolean;
}

/** What the others have, as far as we know. */
export interface Surroundings {
  readonly store: Store;
  /** The name of a host, by its id. */
  readonly nameOf: (host: string) => string;
  /** The revision at which a network was last changed; undefined: there is none. */
  readonly networkRevision: (network: string) => number | undefined;
  readonly isTaken: (network: string, address: Address) => boolean;
  /** Keys of addresses that are being taken on this host. */
  readonly reserved: Set<string>;
  /** Whether it belongs to a daemon of this host that is no more. */
  readonly isLeft: (owner: Owner) => boolean;
}

/** Somebody else has what is wanted. */
export class TakenError extends UserError {}

/** The answer of the store is unknown: it may have given what was wanted. */
export class UnsureError extends UserError {
  readonly identity: Identity;

  constructor(error: Error, identity: Identity) {
    super(error.message);
    this.identity = identity;
  }
}

/**
 * Takes addresses, a MAC and a name for a member. What is free is guessed, and the store says whether it is: one round
 * trip if it is, which in a network with room it nearly always is. Only who guessed wrong reads what all others have.
 * @throws StoreError, TakenError, UnsureError, UserError
 */
export async function take(wanted: Wanted, around: Surroundings): Promise<Identity> {
  requireFitting(wanted);
  const taking = new Taking(wanted, around);
  try {
    return await taking.run();
  } finally {
    taking.close();
  }
}

class Taking {
  readonly #wanted: Wanted;
  readonly #around: Surroundings;
  /** The value of keys that are ours. */
  readonly #owner: string;
  readonly #deadline = monotonicMs() + CALL_LIMIT;
  /** What the keys of the last attempt have. */
  #found: readonly Entry[] = [];
  #networkRevision: number;
  /** Keys of addresses that others have. */
  #taken: ReadonlySet<string> | null = null;
  #isMacRandom = false;
  /** Addresses of the present attempt, which others of this host do not try meanwhile. */
  #reserved: readonly string[] = [];

  constructor(wanted: Wanted, around: Surroundings) {
    this.#wanted = wanted;
    this.#around = around;
    this.#owner = encodeOwner(wanted.host, wanted.member);
    const revision = around.networkRevision(wanted.network.id);
    if (revision === undefined) throw this.#noNetwork();
    this.#networkRevision = revision;
  }

  async run(): Promise<Identity> {
    if (this.#wanted.isOurs) this.#found = this.#ownEntries();
    while (monotonicMs() < this.#deadline) {
      const identity = this.#choose();
      if (identity === null) await this.#list();
      else if (await this.#attempt(identity)) return identity;
    }
    throw new UserError(
      `${this.#around.store.place}: too many hosts want addresses of network ${this.#wanted.network.name} at once: try again`,
    );
  }

  close(): void {
    this.#reserve([]);
  }

  /** @returns null when it takes to know which addresses others have @throws UserError when none is free */
  #choose(): Identity | null {
    const { network, addresses: wished, isCompleted, mac } = this.#wanted;
    this.#reserve([]);
    const addresses: Address[] = [];
    for (const { prefix, range } of network.subnets) {
      const given = wished.find((each) => prefix.contains(each));
      if (given === undefined && !isCompleted) continue;
      const address = given ?? chooseAddress(range, (each) => this.#isFree(each));
      if (address === null && this.#taken === null) return null;
      if (address === null) throw exhausted(network, range);
      addresses.push(address);
    }
    this.#reserve(addresses.map((address) => addressKey(network.id, address)));
    return { addresses, mac: mac ?? (this.#isMacRandom ? randomMac() : macOf(addresses[0])) };
  }

  #isFree(address: Address): boolean {
    const { network } = this.#wanted;
    if (misfit(network, address) !== null || this.#around.isTaken(network.id, address))
      return false;
    const key = addressKey(network.id, address);
    return !this.#taken?.has(key) && !this.#around.reserved.has(key);
  }

  async #list(): Promise<void> {
    const { entries } = await this.#around.store.list(addressesOf(this.#wanted.network.id));
    this.#taken = new Set(entries.map(({ key }) => key));
  }

  async #attempt(identity: Identity): Promise<boolean> {
    const { network, record } = this.#wanted;
    const conditions: readonly Condition[] = [
      { kind: "unchanged", key: networkKey(network.id), modified: this.#networkRevision },
      ...conditionsFor(this.#keysOf(identity), this.#found),
    ];
    const operations = [...this.#operations(identity), ...record(identity)];
    const outcome = await this.#commit(conditions, operations, identity);
    if (outcome.done) return true;
    this.#found = outcome.found.filter(({ key }) => key !== networkKey(network.id));
    this.#requireNetwork(outcome.found);
    let isGuessWrong = false;
    for (const entry of this.#found) {
      if (entry.value === this.#owner) continue;
      if (!this.#requireOurs(entry)) isGuessWrong = true;
    }
    if (isGuessWrong) await this.#list();
    return false;
  }

  async #commit(
    conditions: readonly Condition[],
    operations: readonly Operation[],
    identity: Identity,
  ): Promise<Outcome> {
    try {
      return await this.#around.store.commit(conditions, operations);
    } catch (error) {
      if (error instanceof StoreError) throw new UnsureError(error, identity);
      throw error;
    }
  }

  #keysOf({ addresses, mac }: Identity): readonly string[] {
    const { network, name } = this.#wanted;
    return [
      nameKey(name),
      macKey(network.id, mac),
      ...addresses.map((address) => addressKey(network.id, address)),
    ];
  }

  #operations(identity: Identity): readonly Operation[] {
    const { leases } = this.#wanted;
    const value = this.#owner;
    return this.#keysOf(identity).map((key) => {
      const lease = key.startsWith(ADDRESSES) ? leases?.addresses : leases?.presence;
      return { kind: "put", key, value, lease: lease ?? null };
    });
  }

  #ownEntries(): readonly Entry[] {
    const { addresses, mac } = this.#wanted;
    if (mac === null) return [];
    const value = this.#owner;
    return this.#keysOf({ addresses, mac }).map((key) => ({ key, value, created: 0, modified: 0 }));
  }

  #requireNetwork(found: readonly Entry[]): void {
    const entry = found.find(({ key }) => key === networkKey(this.#wanted.network.id));
    if (entry === undefined) throw this.#noNetwork();
    this.#networkRevision = entry.modified;
  }

  #noNetwork(): UserError {
    return new UserError(`network ${this.#wanted.network.name} was removed on another host`);
  }

  /** @returns false: it was but a guess that the address is free @throws TakenError when it was wished for */
  #requireOurs({ key, value }: Entry): boolean {
    const { network, addresses, mac, name } = this.#wanted;
    const owner = decodeOwner(value);
    if (key === nameKey(name)) {
      this.#requireAvailable(owner, `name ${name} is`);
    } else if (key.startsWith(macsOf(network.id))) {
      if (mac !== null) this.#requireAvailable(owner, `MAC ${formatMac(mac)} is`);
      this.#isMacRandom = mac === null;
    } else {
      const address = addresses.find((each) => key === addressKey(network.id, each));
      if (address === undefined) return false;
      this.#requireAvailable(owner, `address ${address} is`);
    }
    return true;
  }

  #requireAvailable(owner: Owner | Resting | Nonsense, what: string): void {
    if (owner instanceof Nonsense) {
      throw new TakenError(`${what} taken by something that is not Slipway's: choose another`);
    }
    if (owner.kind === "owner") {
      if (this.#around.isLeft(owner)) return;
      throw new TakenError(`${what} taken by ${this.#memberText(owner)}: choose another`);
    }
    const { host, name } = this.#wanted;
    if ((host !== null && owner.host === host) || owner.name === name.toLowerCase()) return;
    throw new TakenError(
      `${what} resting for 60 s, as ${owner.name} has just given it back: choose another, or wait`,
    );
  }

  #memberText({ host, member }: Owner): string {
    const id = shortId(member);
    return host === null ? `peer ${id}` : `member ${id} on host ${this.#around.nameOf(host)}`;
  }

  #reserve(keys: readonly string[]): void {
    for (const key of this.#reserved) this.#around.reserved.delete(key);
    for (const key of keys) this.#around.reserved.add(key);
    this.#reserved = keys;
  }
}

/** What needs no store to be refused. @throws UserError */
function requireFitting({ network, addresses, mac }: Wanted): void {
  for (const address of addresses) {
    const problem = misfit(network, address);
    if (problem === null) continue;
    const subnets = network.subnets.map(({ prefix }) => prefix).join(" and ");
    throw new UserError(
      problem === "outside"
        ? `address ${address} is not in network ${network.name} (${subnets}): choose one inside`
        : `address ${address} cannot be a member's: it is the gateway's, or the first or last of ${subnets}`,
    );
  }
  if (mac !== networkMac(network.subnets)) return;
  throw new UserError(
    `MAC ${formatMac(mac)} is that of the gateway of network ${network.name}: choose another`,
  );
}

function exhausted(network: NetworkRecord, range: Prefix): UserError {
  return new UserError(
    `network ${network.name} has no address left in ${range}: disconnect a member, wait a minute if one has just left, or create a larger network`,
  );
}
