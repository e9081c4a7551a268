import { Address, Prefix } from "../../base/address.js";
import { type Mac, parseInterfaceMac } from "../../base/mac.js";
import { LONGEST_SOCKET_PATH } from "../../config/constants.js";
import type { Reader } from "../parsing/option.js";
import { domainName, isInterfaceName, wholeNumber, wrong } from "../parsing/values.js";

/** Texts of errors begin as those of pasta, which its clients look for, and go on with how to fix it. */
const EXAMPLES = "write one like 192.0.2.1 or 2001:db8::1";

/** Largest that fits into a frame of Ethernet, in multiples of 4 bytes; least of RFC 791. */
export const PASTA_MTU = { least: 68, most: 65_520 } as const;

/** Least and largest size of a log, in bytes. */
const LOG_SIZE = { least: 4096, most: 2 ** 40 };

/** @param what it is, as in `Invalid gateway address` */
function anyAddress(what: string): Reader<Address> {
  return (text) => {
    const address = Address.parse(text);
    if (address === null) throw wrong(`${what}: ${text}; ${EXAMPLES}`);
    return address;
  };
}

/** One that a host can have. */
function hostAddress(what: string): Reader<Address> {
  return (text, name) => {
    const address = anyAddress(what)(text, name);
    const { isUnspecified, isLoopback, isMulticast, isBroadcast } = address;
    if (!isUnspecified && !isLoopback && !isMulticast && !isBroadcast) return address;
    throw wrong(`${what}: ${text} cannot be an address of the guest; ${EXAMPLES}`);
  };
}

/** An address, and the length behind its slash or null. */
export const guestAddress: Reader<{ readonly address: Address; readonly length: number | null }> = (
  text,
  name,
) => {
  const [plain, ...behind] = text.split("/");
  const address = hostAddress("Invalid address")(plain, name);
  if (behind.length === 0) return { address, length: null };
  const length = behind.length === 1 ? prefixLength(behind[0], address.bits) : null;
  if (length !== null) return { address, length };
  throw wrong(`Invalid address: ${text}; the prefix length is 1 to ${address.bits}`);
};

export const gatewayAddress = hostAddress("Invalid gateway address");
export const nameServer = anyAddress("Cannot use DNS address");
export const forwardAddress = hostAddress("Invalid DNS forwarding address");
export const hostNameServer = anyAddress("Invalid host nameserver address");
export const outboundAddress = hostAddress("Invalid outbound address");
export const mappedAddress = hostAddress("Invalid address to map");

/** Bits, or dotted decimal as an address. */
export const netmask: Reader<number> = (text) => {
  const length = text.includes(".") ? lengthOfMask(text) : prefixLength(text, 32);
  if (length !== null) return length;
  throw wrong(`Invalid netmask: ${text}; write one like 24 or 255.255.255.0`);
};

function lengthOfMask(text: string): number | null {
  const address = Address.parse(text);
  if (address === null || address.family !== 4) return null;
  const length = Math.clz32(~address.w3);
  return length > 0 && Prefix.of(address, length).netmask.equals(address) ? length : null;
}

function prefixLength(text: string, most: number): number | null {
  if (!/^\d{1,3}$/.test(text)) return null;
  const length = Number(text);
  return length >= 1 && length <= most ? length : null;
}

/** null: 0, which assigns none. */
export const mtu: Reader<number | null> = (text) => {
  const { least, most } = PASTA_MTU;
  const bytes = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (bytes === 0) return null;
  if (bytes >= least && bytes <= most) return bytes;
  throw wrong(`Invalid MTU: ${text}; give ${least} to ${most}, or 0 to assign none`);
};

export const macAddress: Reader<Mac> = (text) => {
  const mac = parseInterfaceMac(text);
  if (mac !== null) return mac;
  throw wrong(
    `Invalid MAC address: ${text}; write that of an interface, such as 02:00:5e:10:00:01`,
  );
};

export const interfaceName: Reader<string> = (text) => {
  if (text === "lo") throw wrong("Invalid interface name: lo; it is the loopback: give another");
  if (isInterfaceName(text)) return text;
  throw wrong(`Invalid interface name: ${text}; write one like eth0, of 15 bytes at most`);
};

export const socketPath: Reader<string> = (text, name) => {
  if (text === "") throw wrong(`${name} is empty: give the path of a socket`);
  if (Buffer.byteLength(text) <= LONGEST_SOCKET_PATH) return text;
  throw wrong(`Invalid socket path: ${text}; it has more than ${LONGEST_SOCKET_PATH} bytes`);
};

export const logSize = wholeNumber(LOG_SIZE.least, LOG_SIZE.most);
export const statsDelay = wholeNumber(1, 2 ** 31 - 1);

/** Domains with spaces between. */
export const searchList: Reader<readonly string[]> = (text, name) =>
  text.split(" ").flatMap((word) => (word === "" ? [] : [domainName(word, name)]));

/** null: `none`. */
export function orNone<T>(read: Reader<T>): Reader<T | null> {
  return (text, name) => (text === "none" ? null : read(text, name));
}
