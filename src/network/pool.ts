import type { Address, Prefix } from "../base/address.js";

/** Host bits that are counted: a pool gives out at most so many addresses. */
const MOST_HOST_BITS = 32;

/** Why an address cannot be had. */
export type Refusal = "outside" | "reserved" | "taken";

/**
 * The addresses of one network and family. One that was released is given out again only when all
 * others have had their turn, so that what remembers it (ARP caches, connections, logs) does not
 * meet somebody else.
 */
export class AddressPool {
  readonly prefix: Prefix;
  readonly gateway: Address;
  readonly range: Prefix;
  readonly #taken = new Set<string>();
  /** Offset in the range of the address given out last. */
  #last = -1;

  /**
   * @param gateway within the prefix
   * @param range within the prefix: where allocate() looks
   */
  constructor(prefix: Prefix, gateway: Address, range: Prefix) {
    this.prefix = prefix;
    this.gateway = gateway;
    this.range = range;
  }

  /** The next address, taken; null when there is none left. */
  allocate(): Address | null {
    const { address, length } = this.range;
    const size = 2 ** Math.min(address.bits - length, MOST_HOST_BITS);
    // Of so many in a row one is free, or all are taken.
    const tries = Math.min(size, this.#taken.size + RESERVED + 1);
    for (let step = 1; step <= tries; step += 1) {
      const offset = (this.#last + step) % size;
      const candidate = address.plus(offset);
      if (this.refusal(candidate) !== null) continue;
      this.#last = offset;
      this.#taken.add(candidate.toString());
      return candidate;
    }
    return null;
  }

  /** Offset in the range of the address given out last; -1: none was. */
  get last(): number {
    return this.#last;
  }

  /** Goes on behind an address that was given out before. @param offset as `last` told it */
  goOnAfter(offset: number): void {
    this.#last = offset;
  }

  /** Takes this very address. @returns null, or why it cannot be had */
  take(address: Address): Refusal | null {
    const refusal = this.refusal(address);
    if (refusal === null) this.#taken.add(address.toString());
    return refusal;
  }

  /** Why an address cannot be had; null when it can. */
  refusal(address: Address): Refusal | null {
    if (!this.prefix.contains(address)) return "outside";
    if (this.#isReserved(address)) return "reserved";
    return this.#taken.has(address.toString()) ? "taken" : null;
  }

  release(address: Address): void {
    this.#taken.delete(address.toString());
  }

  /** The network's own address, in IPv4 its broadcast address, and the gateway's. */
  #isReserved(address: Address): boolean {
    const { prefix } = this;
    if (address.equals(this.gateway) || address.equals(prefix.address)) return true;
    return address.family === 4 && address.equals(prefix.last);
  }
}

/** Addresses of a network that nobody gets: network, gateway, broadcast. */
const RESERVED = 3;
