import ipaddr from "ipaddr.js";
import { quoted } from "./printable.js";

/** An IP version. */
export type Family = 4 | 6;

export const FAMILIES: readonly Family[] = [4, 6];

export function otherFamily(family: Family): Family {
  return family === 4 ? 6 : 4;
}

const MAPPED_PREFIX = 0xffff;
const WORD_RANGE = 0x1_0000_0000;

/**
 * An IP address of either family, immutable, as four unsigned 32-bit words, `w0` the most
 * significant. An IPv4 address is stored in its IPv4-mapped form ::ffff:a.b.c.d (RFC 4291 §2.5.5.2),
 * so tables and comparisons need one path for both families.
 */
export class Address {
  readonly family: Family;
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;

  private constructor(w0: number, w1: number, w2: number, w3: number) {
    this.w0 = w0;
    this.w1 = w1;
    this.w2 = w2;
    this.w3 = w3;
    this.family = w0 === 0 && w1 === 0 && w2 === MAPPED_PREFIX ? 4 : 6;
  }

  /** The address of four unsigned 32-bit words, most significant first. */
  static ofWords(w0: number, w1: number, w2: number, w3: number): Address {
    return new Address(w0 >>> 0, w1 >>> 0, w2 >>> 0, w3 >>> 0);
  }

  /** The IPv4 address of one unsigned 32-bit word, `a` of a.b.c.d in its top byte. */
  static ofIpv4Word(word: number): Address {
    return new Address(0, 0, MAPPED_PREFIX, word >>> 0);
  }

  /**
   * Reads 4 or 16 bytes in network byte order. The caller checks bounds. An IPv4-mapped IPv6 address
   * becomes the IPv4 address.
   */
  static read(bytes: Uint8Array, offset: number, family: Family): Address {
    if (family === 4) return Address.ofIpv4Word(readWord(bytes, offset));
    return Address.ofWords(
      readWord(bytes, offset),
      readWord(bytes, offset + 4),
      readWord(bytes, offset + 8),
      readWord(bytes, offset + 12),
    );
  }

  /** Parses four-part decimal IPv4, or IPv6 without a zone; null for anything else. */
  static parse(text: string): Address | null {
    if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
      return Address.read(Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray()), 0, 4);
    }
    if (text.includes("%") || !ipaddr.IPv6.isValid(text)) return null;
    return Address.read(Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray()), 0, 6);
  }

  /** Length on the wire, in bytes. */
  get length(): 4 | 16 {
    return this.family === 4 ? 4 : 16;
  }

  /** Length on the wire in bits, which is the longest prefix length. */
  get bits(): 32 | 128 {
    return this.family === 4 ? 32 : 128;
  }

  /** Writes `length` bytes in network byte order. */
  write(bytes: Uint8Array, offset: number): void {
    if (this.family === 4) {
      writeWord(bytes, offset, this.w3);
      return;
    }
    writeWord(bytes, offset, this.w0);
    writeWord(bytes, offset + 4, this.w1);
    writeWord(bytes, offset + 8, this.w2);
    writeWord(bytes, offset + 12, this.w3);
  }

  /** The address as `length` bytes in network byte order. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    this.write(bytes, 0);
    return bytes;
  }

  equals(other: Address): boolean {
    return (
      this.w3 === other.w3 && this.w2 === other.w2 && this.w1 === other.w1 && this.w0 === other.w0
    );
  }

  /** a.b.c.d, or the canonical IPv6 text of RFC 5952. */
  toString(): string {
    const bytes = this.toBytes();
    if (this.family === 4) return bytes.join(".");
    return new ipaddr.IPv6([...bytes]).toRFC5952String();
  }

  /** 0.0.0.0 or ::. */
  get isUnspecified(): boolean {
    return this.w3 === 0 && (this.family === 4 || (this.w2 | this.w1 | this.w0) === 0);
  }

  /** 127.0.0.0/8 or ::1. */
  get isLoopback(): boolean {
    if (this.family === 4) return this.w3 >>> 24 === 127;
    return this.w3 === 1 && this.w2 === 0 && this.w1 === 0 && this.w0 === 0;
  }

  /** 224.0.0.0/4 or ff00::/8. */
  get isMulticast(): boolean {
    return this.family === 4 ? this.w3 >>> 28 === 0xe : this.w0 >>> 24 === 0xff;
  }

  /** 169.254.0.0/16 or fe80::/10. */
  get isLinkLocal(): boolean {
    return this.family === 4 ? this.w3 >>> 16 === 0xa9fe : this.w0 >>> 22 === 0x3fa;
  }

  /** The limited broadcast 255.255.255.255; IPv6 has none. */
  get isBroadcast(): boolean {
    return this.family === 4 && this.w3 === 0xffff_ffff;
  }

  /**
   * The address plus `n`, 0..2^32-1.
   * @throws RangeError when the result is outside of the family's address space
   */
  plus(n: number): Address {
    const w3 = this.w3 + n;
    const w2 = this.w2 + carryOf(w3);
    const w1 = this.w1 + carryOf(w2);
    const w0 = this.w0 + carryOf(w1);
    if (carryOf(this.family === 4 ? w3 : w0) !== 0) {
      throw new RangeError(`${this} plus ${n} is beyond the end of the address space`);
    }
    return Address.ofWords(w0, w1, w2, w3);
  }
}

/**
 * A direct-mapped cache of addresses. Reading an address that is in the cache returns the same object and
 * allocates nothing.
 */
export class AddressCache {
  readonly #slots: Address[];

  /** @param size number of slots, a power of two; addresses with the same slot evict each other */
  constructor(size = 256) {
    this.#slots = new Array<Address>(size).fill(UNSPECIFIED[6]);
  }

  /** Like Address.read. */
  at(bytes: Uint8Array, offset: number, family: Family): Address {
    if (family === 4) return this.#lookup(0, 0, MAPPED_PREFIX, readWord(bytes, offset));
    return this.#lookup(
      readWord(bytes, offset),
      readWord(bytes, offset + 4),
      readWord(bytes, offset + 8),
      readWord(bytes, offset + 12),
    );
  }

  /** The words are signed integers, which V8 passes to functions without allocating. */
  #lookup(w0: number, w1: number, w2: number, w3: number): Address {
    const slot = hash(w0 ^ w1 ^ w2 ^ w3) & (this.#slots.length - 1);
    const cached = this.#slots[slot];
    if (
      (cached.w3 | 0) === w3 &&
      (cached.w2 | 0) === w2 &&
      (cached.w1 | 0) === w1 &&
      (cached.w0 | 0) === w0
    ) {
      return cached;
    }
    const address = Address.ofWords(w0, w1, w2, w3);
    this.#slots[slot] = address;
    return address;
  }
}

/** Longest IPv4 prefix whose last address is for broadcast: a /31 and a /32 have none (RFC 3021). */
export const LONGEST_WITH_BROADCAST = 30;

/** A network: an address whose host bits are zero, and a prefix length in bits. */
export class Prefix {
  readonly address: Address;
  readonly length: number;

  private constructor(address: Address, length: number) {
    this.address = address;
    this.length = length;
  }

  /** The network with a prefix of `length` bits that contains the address. @param length at most address.bits */
  static of(address: Address, length: number): Prefix {
    return new Prefix(masked(address, length), length);
  }

  /**
   * Parses `ADDRESS/LENGTH`.
   * @param example for the sentence
   * @throws RangeError with a sentence for the user when the text is malformed, the length is out
   * of range, or host bits are set
   */
  static parse(text: string, example?: string): Prefix {
    const { address, prefix } = parseCidr(text, example);
    requireNetworkAddress(address, prefix);
    return prefix;
  }

  contains(address: Address): boolean {
    const { address: first, length } = this;
    return (
      address.family === first.family &&
      ((address.w3 ^ first.w3) & mask(first.family === 4 ? length : length - 96)) === 0 &&
      (first.family === 4 ||
        (((address.w2 ^ first.w2) & mask(length - 64)) === 0 &&
          ((address.w1 ^ first.w1) & mask(length - 32)) === 0 &&
          ((address.w0 ^ first.w0) & mask(length)) === 0))
    );
  }

  equals({ address, length }: Prefix): boolean {
    return this.length === length && this.address.equals(address);
  }

  /** Whether another prefix lies within this one. */
  covers({ address, length }: Prefix): boolean {
    return this.contains(address) && length >= this.length;
  }

  /** The netmask as an address: 255.255.255.0 for a /24. */
  get netmask(): Address {
    return masked(ALL_ONES[this.address.family], this.length);
  }

  /** The last address; in IPv4, the directed broadcast address, up to LONGEST_WITH_BROADCAST. */
  get last(): Address {
    const { w0, w1, w2, w3 } = this.netmask;
    const { address } = this;
    if (address.family === 4) return Address.ofIpv4Word(address.w3 | ~w3);
    return Address.ofWords(address.w0 | ~w0, address.w1 | ~w1, address.w2 | ~w2, address.w3 | ~w3);
  }

  toString(): string {
    return `${this.address}/${this.length}`;
  }
}

/**
 * Parses `ADDRESS/LENGTH` to the address and its network.
 * @param example for the sentence
 * @throws RangeError with a sentence for the user when the text is malformed or the length is out of range
 */
export function parseCidr(
  text: string,
  example = "10.0.2.0/24",
): { readonly address: Address; readonly prefix: Prefix } {
  const [, addressText = "", lengthText = ""] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = Address.parse(addressText);
  if (address === null) {
    throw new RangeError(`${quoted(text)}: invalid CIDR; write one like ${example}`);
  }
  const length = Number(lengthText);
  if (length > address.bits) {
    throw new RangeError(`${quoted(text)}: the prefix length needs to be 0-${address.bits}`);
  }
  return { address, prefix: Prefix.of(address, length) };
}

/** Formats `192.0.2.1:80` or `[2001:db8::1]:80`. @param port a number, or text such as a range */
export function formatEndpoint(address: Address | string, port: number | string): string {
  const text = `${address}`;
  return text.includes(":") ? `[${text}]:${port}` : `${text}:${port}`;
}

/** @throws RangeError with a sentence for the user when host bits are set in the address */
export function requireNetworkAddress(address: Address, prefix: Prefix): void {
  if (prefix.address.equals(address)) return;
  const given = `${address}/${prefix.length}`;
  throw new RangeError(
    `${quoted(given)}: a CIDR needs to be a network address like ${prefix}, not like ${given}`,
  );
}

/** 0.0.0.0 and ::, which also mean all addresses of a host, or let the kernel choose. */
export const UNSPECIFIED: Readonly<Record<Family, Address>> = {
  4: Address.ofIpv4Word(0),
  6: Address.ofWords(0, 0, 0, 0),
};

export const LOOPBACK: Readonly<Record<Family, Address>> = {
  4: Address.ofIpv4Word(0x7f00_0001),
  6: Address.ofWords(0, 0, 0, 1),
};

const ALL_ONES: Readonly<Record<Family, Address>> = {
  4: Address.ofIpv4Word(0xffff_ffff),
  6: Address.ofWords(0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff),
};

/** Whether one of the addresses equals `wanted`. */
export function includesAddress(addresses: readonly Address[], wanted: Address): boolean {
  for (const address of addresses) if (address.equals(wanted)) return true;
  return false;
}

function masked(address: Address, length: number): Address {
  if (address.family === 4) return Address.ofIpv4Word(address.w3 & mask(length));
  return Address.ofWords(
    address.w0 & mask(length),
    address.w1 & mask(length - 32),
    address.w2 & mask(length - 64),
    address.w3 & mask(length - 96),
  );
}

/** A word whose upper `length` bits are ones; `length` may be outside of 0..32. */
function mask(length: number): number {
  if (length <= 0) return 0;
  if (length >= 32) return 0xffff_ffff;
  return ~(0xffff_ffff >>> length);
}

function carryOf(word: number): 0 | 1 {
  return word >= WORD_RANGE ? 1 : 0;
}

/** Spreads the bits of a word downwards (Fibonacci hashing, Knuth, TAOCP 3, 6.4). */
function hash(word: number): number {
  return Math.imul(word, 0x9e37_79b1) >>> 16;
}

/** The word as a signed integer. */
function readWord(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3]
  );
}

function writeWord(bytes: Uint8Array, offset: number, word: number): void {
  bytes[offset] = word >>> 24;
  bytes[offset + 1] = word >>> 16;
  bytes[offset + 2] = word >>> 8;
  bytes[offset + 3] = word;
}
