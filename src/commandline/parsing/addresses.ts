import {
  Address,
  type Family,
  Prefix,
  parseCidr,
  requireNetworkAddress,
} from "../../base/address.js";
import { type Mac, parseInterfaceMac } from "../../base/mac.js";
import { quoted } from "../../base/printable.js";
import { type AddressPlan, DEFAULT_PREFIX, planFor } from "../../config/address-plan.js";
import type { Reader } from "./option.js";
import { isInterfaceName, wrong } from "./values.js";

/** For the user, from the ranges for documentation (RFC 5737, RFC 3849). */
const EXAMPLE: Readonly<Record<Family, string>> = { 4: "192.0.2.53", 6: "2001:db8::53" };
const EXAMPLES = `${EXAMPLE[4]} or ${EXAMPLE[6]}`;

/** Addresses of members, as a free subnet has them. */
const MEMBER_EXAMPLES = "10.89.1.50 or fd00:1::50";

export const ipAddress = addressLike(EXAMPLES);
/** On a network. */
export const memberAddress = addressLike(MEMBER_EXAMPLES);

function addressLike(examples: string): Reader<Address> {
  return (text, name) => {
    const address = Address.parse(text);
    if (address !== null) return address;
    const fix = superfluousIn(text) ?? `write one like ${examples}`;
    throw wrong(`${name} ${quoted(text)} is not an address: ${fix}`);
  };
}

/** What to leave out, for a text that is an address with something around it. */
function superfluousIn(text: string): string | null {
  if (Address.parse(text.replace(/^\[(.*)\]$/s, "$1")) !== null) return "leave out the brackets";
  const [, start = "", rest = ""] = /^([\d.]+|[^/%]*)([/%:].*)$/s.exec(text) ?? [];
  return Address.parse(start) === null ? null : `leave out ${quoted(rest)}`;
}

/** @throws UserError for an address of the other family */
export function requireFamily(address: Address, family: Family, name: string): void {
  if (address.family === family) return;
  throw wrong(
    `${name} ${address} is an IPv${address.family} address: give an IPv${family} one, such as ${EXAMPLE[family]}`,
  );
}

/** An address of the host. Whether it is there is seen later. */
export const hostAddress: Reader<Address> = (text, name) => {
  const address = ipAddress(text, name);
  const { isLoopback, isUnspecified, isMulticast, isLinkLocal } = address;
  if (!isLoopback && !isUnspecified && !isMulticast && !isLinkLocal) return address;
  throw wrong(
    `${name} ${address} is no address that others reach: give one of this machine: ip address`,
  );
};

/** What to send from: an address of this machine, or an interface. Whether it is there is seen later. */
export function outboundSource(family: Family): Reader<string> {
  return (text, name) => {
    const address = Address.parse(text);
    if (address !== null) requireFamily(address, family, name);
    else if (!isInterfaceName(text)) {
      throw wrong(
        `${name} ${quoted(text)} is neither an address nor an interface name: write it like ${EXAMPLE[family]} or eth0`,
      );
    }
    return text;
  };
}

/** The addresses of a member on one network. @throws UserError unless each family has one at most */
export function memberAddresses(texts: readonly string[], name: string): readonly Address[] {
  const addresses = texts.map((text) => memberAddress(text, name));
  requireOnePerFamily(addresses, name);
  return addresses;
}

/** @throws UserError unless each family has one at most */
export function requireOnePerFamily(addresses: readonly Address[], name: string): void {
  const found = addresses.find(
    ({ family }, index) => addresses.findIndex((each) => each.family === family) < index,
  );
  if (found === undefined) return;
  throw wrong(`${name} is given twice for IPv${found.family}: give it once for each family`);
}

export function addressPlan(family: Family): Reader<AddressPlan> {
  const example = `${DEFAULT_PREFIX[family]}`;
  return asReader((text) => {
    const { address, prefix } = parseCidr(text, example);
    if (address.family !== family) {
      throw new RangeError(
        `${quoted(text)}: invalid CIDR; write an IPv${family} network like ${example}`,
      );
    }
    const plan = planFor(prefix);
    requireNetworkAddress(address, prefix);
    return plan;
  });
}

/** A network of either family. */
export const network: Reader<Prefix> = asReader((text) =>
  Prefix.parse(text, "10.89.7.0/24 or fd00:7::/64"),
);

/** @param parse throws a RangeError with a sentence that begins with the text */
function asReader<T>(parse: (text: string) => T): Reader<T> {
  return (text, name) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof RangeError) throw wrong(`${name} ${error.message}`);
      throw error;
    }
  };
}

/** An Ethernet address that an interface can have. */
export const interfaceMac: Reader<Mac> = (text, name) => {
  const mac = parseInterfaceMac(text);
  if (mac !== null) return mac;
  throw wrong(
    `${name} ${quoted(text)} is not the Ethernet address of an interface: write one like 02:00:5e:10:00:01`,
  );
};
