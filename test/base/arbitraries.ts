import fc from "fast-check";
import { Address, type Family } from "../../src/base/address.js";

const word = fc.nat(0xffff_ffff);

export const families: fc.Arbitrary<Family> = fc.constantFrom(4, 6);

/** Any address at all of a family. */
export function anyAddress(family: Family): fc.Arbitrary<Address> {
  if (family === 4) return word.map(Address.ofIpv4Word);
  return fc
    .tuple(word, word, word, word)
    .map((words) => Address.ofWords(...words))
    .filter((address) => address.family === 6);
}

/** Addresses that a host can have on the wire. */
export function hostAddress(family: Family): fc.Arbitrary<Address> {
  if (family === 4)
    return fc.integer({ min: 0x0b00_0000, max: 0x7eff_ffff }).map(Address.ofIpv4Word);
  return fc
    .tuple(fc.integer({ min: 0x2000_0000, max: 0x3fff_ffff }), word, word, word)
    .map((words) => Address.ofWords(...words));
}

export const macs = fc
  .tuple(fc.nat(0x7f), fc.nat(0xff_ffff_ffff))
  .map(([first, rest]) => first * 2 * 0x100_0000_0000 + rest);

export const ports = fc.integer({ min: 1, max: 0xffff });
