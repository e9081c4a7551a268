import type { Address } from "../base/address.js";

/** Lifetimes of IPv6 addresses, by DHCPv6 and router advertisements, in seconds. */
export const VALID_LIFETIME = 86_400;
export const PREFERRED_LIFETIME = 14_400;

/** How long an offer is reserved for its client, in ms. */
const OFFER_TIME = 60_000;

/** How long an address is unused after a client found it in use, in ms (RFC 2131 §3.1, RFC 8415 §18.3.8). */
const DECLINED_TIME = 3_600_000;

/** The client of a declined address: no real client has this id. */
const NOBODY = "";

interface Lease {
  client: string;
  /** In ms of the loop's clock. */
  expires: number;
}

/**
 * The addresses that DHCP leases on one network, and their clients. A pool of one address is for one machine, which may
 * ask as several clients, one after the other (a boot loader and a system have different ids): each of them gets it.
 */
export class LeasePool {
  readonly #addresses: readonly Address[];
  readonly #duration: number;
  /** By the index of the address; absent when it was never leased. */
  readonly #leases = new Map<number, Lease>();

  /**
   * @param first of the pool
   * @param last of the pool
   * @param duration of a lease, in seconds
   */
  constructor(first: Address, last: Address, duration: number) {
    const count = last.w3 - first.w3 + 1;
    this.#addresses = Array.from({ length: count }, (_, index) => first.plus(index));
    this.#duration = duration * 1000;
  }

  /**
   * Reserves an address for a client for 60 s: the one it has or had, or the one it wants, or a free one.
   * @returns null when the pool is used up
   */
  offer(client: string, wanted: Address | null, now: number): Address | null {
    const index = this.#choose(client, wanted, now);
    if (index === null) return null;
    const lease = this.#leases.get(index);
    const expires = lease?.client === client ? lease.expires : 0;
    this.#leases.set(index, { client, expires: Math.max(expires, now + OFFER_TIME) });
    return this.#addresses[index];
  }

  /** Leases the address to a client, which loses any other, or renews it. @returns false when it is not free */
  bind(client: string, address: Address, now: number): boolean {
    const index = this.#indexOf(address);
    if (index < 0 || !this.#isFreeFor(client, index, now)) return false;
    for (const [other, lease] of this.#leases) {
      if (other !== index && lease.client === client) this.#leases.delete(other);
    }
    this.#leases.set(index, { client, expires: now + this.#duration });
    return true;
  }

  /** Ends the lease; the client gets the same address again if it is still free. */
  release(client: string, address: Address, now: number): void {
    const lease = this.#leases.get(this.#indexOf(address));
    if (lease?.client === client) lease.expires = now;
  }

  /** Takes an address out of use that the client found in use by another. */
  decline(client: string, address: Address, now: number): void {
    const lease = this.#leases.get(this.#indexOf(address));
    if (lease?.client !== client) return;
    lease.client = NOBODY;
    lease.expires = now + DECLINED_TIME;
  }

  #choose(client: string, wanted: Address | null, now: number): number | null {
    const own = [...this.#leases].find(([, lease]) => lease.client === client)?.[0];
    if (own !== undefined) return own;
    if (this.#addresses.length === 1) return this.#isFreeFor(client, 0, now) ? 0 : null;
    const asked = wanted === null ? -1 : this.#indexOf(wanted);
    if (asked >= 0 && this.#isFreeFor(client, asked, now)) return asked;
    const fresh = this.#addresses.findIndex((_, index) => !this.#leases.has(index));
    return fresh >= 0 ? fresh : this.#longestExpired(now);
  }

  #longestExpired(now: number): number | null {
    const expired = [...this.#leases].filter(([, { expires }]) => expires <= now);
    const [oldest] = expired.sort(([, a], [, b]) => a.expires - b.expires);
    return oldest?.[0] ?? null;
  }

  #isFreeFor(client: string, index: number, now: number): boolean {
    const lease = this.#leases.get(index);
    if (lease === undefined || lease.client === client || lease.expires <= now) return true;
    return this.#addresses.length === 1 && lease.client !== NOBODY;
  }

  #indexOf(address: Address): number {
    return this.#addresses.findIndex((candidate) => candidate.equals(address));
  }
}
