import { type Address, AddressCache, type Family, UNSPECIFIED } from "../../base/address.js";
import { IPV4_HEADER_LENGTH, IPV4_SOURCE, IPV6_HEADER_LENGTH, IPV6_SOURCE } from "../../wire/ip.js";

/** Reads the addresses of packets, one after the other. */
export class PacketAddresses {
  source: Address = UNSPECIFIED[6];
  destination: Address = UNSPECIFIED[6];
  readonly #cache = new AddressCache();

  /** Reads those of a packet. @returns false when it is not IP, or too short */
  read(bytes: Uint8Array, at: number, length: number): boolean {
    const version = bytes[at] >>> 4;
    if (version === 4 && length >= IPV4_HEADER_LENGTH) {
      this.#read(bytes, at + IPV4_SOURCE, 4);
      return true;
    }
    if (version === 6 && length >= IPV6_HEADER_LENGTH) {
      this.#read(bytes, at + IPV6_SOURCE, 6);
      return true;
    }
    return false;
  }

  #read(bytes: Uint8Array, at: number, family: Family): void {
    this.source = this.#cache.at(bytes, at, family);
    this.destination = this.#cache.at(bytes, at + (family === 4 ? 4 : 16), family);
  }
}
