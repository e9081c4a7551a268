import type { Address, Prefix } from "../base/address.js";

/** A pool gives out at most 2^32 addresses. */
const MOST_HOST_BITS = 32;

/** Why an address cannot be taken. */
export type Refusal = "outside" | "reserved" | "taken";

/**
 * The addresses of one subnet. A released address is given out again only after all others, so that whoever remembers
 * it (ARP caches, connections, readers of logs) does not meet another member.
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
   * @param range within the prefix: allocate() chooses from it
   */
  constructor(prefix: Prefix, gateway: Address, range: Prefix) {
    this.prefix = prefix;
    this.gateway = gateway;
    this.range = range;
  }

  /** Takes the next free address. @returns null when there is none */
  allocate(): Address | null {
    const { address, length } = this.range;
    const size = 2 ** Math.min(address.bits - length, MOST_HOST_BITS);
    // Of so many successive addresses one is free, or all are taken.
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

  /** Offset in the range of the address that allocate() gave out last; -1: none. */
  get last(): number {
    return this.#last;
  }

  /** Makes allocate() continue after an address. @param offset a value of `last` */
  continueAfter(offset: number): void {
    this.#last = offset;
  }

  /** Takes this address. @returns null, or why it cannot be taken */
  take(address: Address): Refusal | null {
    const refusal = this.refusal(address);
    if (refusal === null) this.#taken.add(address.toString());
    return refusal;
  }

  /** @returns why an address cannot be taken; null when it can */
  refusal(address: Address): Refusal | null {
    if (!this.prefix.contains(address)) return "outside";
    if (this.#isReserved(address)) return "reserved";
    return this.#taken.has(address.toString()) ? "taken" : null;
  }

  release(address: Address): void {
    this.#taken.delete(address.toString());
  }

  /** The subnet's own address, the gateway's, and in IPv4 the broadcast address. */
  #isReserved(address: Address): boolean {
    const { prefix } = this;
    if (address.equals(this.gateway) || address.equals(prefix.address)) return true;
    return address.family === 4 && address.equals(prefix.last);
  }
}

/** Reserved addresses of a subnet: its own, the gateway's, and broadcast. */
const RESERVED = 3;
