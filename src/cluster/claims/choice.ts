import type { Address, Prefix } from "../../base/address.js";
import type { Mac } from "../../base/mac.js";

/** Docker's, 02:42: locally administered. */
const MEMBER_MAC_PREFIX: Mac = 0x0242_0000_0000;

const WORD = 2 ** 32;

/** Addresses of a range that are looked at. */
const MOST_TRIED = 2 ** 17;

/**
 * A free address of a range, from anywhere in it: hosts that choose at the same time choose different ones.
 * @returns null when there is none
 */
export function chooseAddress(
  { address, length }: Prefix,
  isFree: (address: Address) => boolean,
): Address | null {
  const size = Math.min(2 ** (address.bits - length), WORD);
  const start = Math.floor(Math.random() * size);
  for (let step = 0; step < Math.min(size, MOST_TRIED); step += 1) {
    const candidate = address.plus((start + step) % size);
    if (isFree(candidate)) return candidate;
  }
  return null;
}

/** 02:42 and the last four bytes of an address, as of members of local networks. */
export function macOf({ w3 }: Address): Mac {
  return MEMBER_MAC_PREFIX + w3;
}

/** For addresses of which the last four bytes are those of another, too. */
export function randomMac(): Mac {
  return MEMBER_MAC_PREFIX + Math.floor(Math.random() * WORD);
}
