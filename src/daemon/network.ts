import type { Address, Family, Prefix } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { formatMac, type Mac } from "../base/mac.js";
import type { Carriage } from "../cluster/records.js";
import type { AddressPlan } from "../config/address-plan.js";
import type { AttachmentIdentity } from "../network/guard.js";
import { type MemberSubnet, memberPlans, networkMac } from "../network/plans.js";
import { AddressPool, type Refusal } from "../network/pool.js";
import type { NetworkFact } from "./workers/messages.js";

/** A subnet, and the part of it that addresses are chosen from. */
export interface Subnet extends MemberSubnet {
  readonly range: Prefix;
}

/** What defines a network, checked. */
export interface NetworkDefinition {
  readonly id: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** IPv4 first. */
  readonly subnets: readonly Subnet[];
  readonly internal: boolean;
  readonly mtu: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** How its packets reach other hosts: it is an overlay. null: all its members are on this host. */
  readonly carriage: Carriage | null;
  /** Of a network of this host that is its subnet of a flannel network; absent: it is none. */
  readonly flannel?:
    | {
        /** Of flannel's keys in etcd, without a slash at its end. */
        readonly prefix: string;
        readonly vni: number;
        readonly port: number;
        readonly vtepMac: Mac;
      }
    | undefined;
}

/** Hears what an overlay has given to members of this host, and what they gave back, whatever ended them. */
export interface ReservationEvents {
  readonly onReserved: (network: string, mac: Mac) => void;
  readonly onReleased: (network: string, mac: Mac) => void;
}

/** Docker's, 02:42: locally administered. The last four bytes of the first address follow. */
const MEMBER_MAC_PREFIX: Mac = 0x0242_0000_0000;

/** One network: which of its addresses and MACs are taken. src/daemon/workers connects its members. */
export class Network {
  readonly definition: NetworkDefinition;
  readonly #events: ReservationEvents | null;
  readonly #pools: readonly AddressPool[];
  readonly #macs = new Map<Mac, string>();
  /** The owner of each address. */
  readonly #owners = new Map<string, string>();

  constructor(definition: NetworkDefinition, events: ReservationEvents | null = null) {
    this.definition = definition;
    this.#events = events;
    this.#pools = definition.subnets.map(
      ({ prefix, gateway, range }) => new AddressPool(prefix, gateway, range),
    );
  }

  get id(): string {
    return this.definition.id;
  }

  get name(): string {
    return this.definition.name;
  }

  /** The last address given out of each subnet, by its offset; the next daemon calls continueAfter() with them. */
  get last(): readonly number[] {
    return this.#pools.map(({ last }) => last);
  }

  continueAfter(last: readonly number[]): void {
    for (const [index, pool] of this.#pools.entries()) pool.continueAfter(last[index] ?? -1);
  }

  /** How many attachments it has. */
  get population(): number {
    return this.#macs.size;
  }

  contains(address: Address): boolean {
    return this.definition.subnets.some(({ prefix }) => prefix.contains(address));
  }

  /**
   * Reserves one address of each family, and a MAC.
   * @param wanted the addresses; a family without one gets the next that is free
   * @param mac null: it is made of the first address
   * @param owner named in the refusal of whoever wants the same
   * @throws UserError, and nothing is reserved then
   */
  reserve(wanted: readonly Address[], mac: Mac | null, owner: string): AttachmentIdentity {
    for (const address of wanted) {
      if (!this.contains(address)) throw this.#refused(address, "outside");
    }
    const addresses: Address[] = [];
    try {
      for (const pool of this.#pools) addresses.push(this.#takeOf(pool, wanted));
      const identity = { mac: this.#takeMac(mac, addresses), addresses };
      this.#macs.set(identity.mac, owner);
      for (const address of addresses) this.#owners.set(`${address}`, owner);
      this.#events?.onReserved(this.id, identity.mac);
      return identity;
    } catch (error) {
      for (const address of addresses) this.#release(address);
      throw error;
    }
  }

  release(identity: AttachmentIdentity): void {
    this.#macs.delete(identity.mac);
    for (const address of identity.addresses) this.#release(address);
    this.#events?.onReleased(this.id, identity.mac);
  }

  plansFor({ addresses }: AttachmentIdentity): readonly AddressPlan[] {
    return memberPlans(this.definition.subnets, addresses);
  }

  /** The network as the threads are told of it. */
  get fact(): NetworkFact {
    const { id, name, internal, mtu, subnets } = this.definition;
    const texts = subnets.map(({ prefix, gateway }) => ({
      prefix: `${prefix}`,
      gateway: `${gateway}`,
    }));
    return {
      kind: "network",
      id,
      name: name.toLowerCase(),
      subnets: texts,
      internal,
      mtu,
      overlay: overlayOf(this.definition),
    };
  }

  #takeOf(pool: AddressPool, wanted: readonly Address[]): Address {
    const asked = wanted.find((address) => pool.prefix.contains(address));
    if (asked === undefined) {
      const next = pool.allocate();
      if (next !== null) return next;
      throw new UserError(
        `network ${this.name} has no address left in ${pool.range}: disconnect a member, or create a larger network`,
      );
    }
    const refusal = pool.take(asked);
    if (refusal !== null) throw this.#refused(asked, refusal);
    return asked;
  }

  #takeMac(mac: Mac | null, addresses: readonly Address[]): Mac {
    const chosen = mac ?? this.#freeMac(addresses[0]);
    const owner = this.#macs.get(chosen);
    const isOurs = chosen === networkMac(this.definition.subnets);
    if (owner === undefined && !isOurs) return chosen;
    throw new UserError(
      `MAC ${formatMac(chosen)} on network ${this.name} is taken by ${owner ?? "the gateway"}: choose another`,
    );
  }

  /** IPv6 addresses may have their last four bytes in common, and a member may have been given this MAC by name. */
  #freeMac({ w3 }: Address): Mac {
    for (let step = 0; ; step += 1) {
      const mac = MEMBER_MAC_PREFIX + ((w3 + step) >>> 0);
      if (!this.#macs.has(mac)) return mac;
    }
  }

  #refused(address: Address, refusal: Refusal): UserError {
    const subnets = this.definition.subnets.map(({ prefix }) => `${prefix}`).join(" and ");
    const where = `on network ${this.name} (${subnets})`;
    switch (refusal) {
      case "outside":
        return new UserError(
          `address ${address} is outside of network ${this.name}: choose one in ${subnets}`,
        );
      case "reserved":
        return new UserError(
          `address ${address} ${where} is reserved for the gateway or the network: choose another`,
        );
      case "taken": {
        const owner = this.#owners.get(`${address}`) ?? "another member";
        return new UserError(`address ${address} ${where} is taken by ${owner}: choose another`);
      }
    }
  }

  #release(address: Address): void {
    this.#owners.delete(`${address}`);
    for (const pool of this.#pools) pool.release(address);
  }
}

function overlayOf({ carriage, flannel }: NetworkDefinition): NetworkFact["overlay"] {
  if (flannel === undefined) return carriage;
  const { vni, port, vtepMac } = flannel;
  return { kind: "flannel", vni, port, vtepMac };
}

/** The subnet of a family; null when the network has none. */
export function subnetOf(network: Network, family: Family): Subnet | null {
  return network.definition.subnets.find(({ prefix }) => prefix.address.family === family) ?? null;
}
