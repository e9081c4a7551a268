import { Address } from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import { quoted } from "../../base/printable.js";
import { HIGHEST_PID, HOST_GATEWAY, LONGEST_TEXT } from "../../config/constants.js";
import { type NameKind, requireValidName } from "../../config/names.js";
import type { Reader } from "./option.js";

/** A descriptor is an int. */
const FD_MOST = 2 ** 31 - 1;
/** IFNAMSIZ without the terminating zero, in bytes. */
const INTERFACE_NAME_BYTES = 15;
/** Longer than any that there is. */
const LONGEST_RESOLVER_OPTION = 64;
export const MEBIBYTE = 1024 * 1024;
const UNITS: Readonly<Record<string, number>> = { K: 1024, M: MEBIBYTE };

export const anyText: Reader<string> = (text) => text;

/** A path, for one. */
export const someText: Reader<string> = (text, name) => {
  if (text !== "") return text;
  throw wrong(`${name} is empty: give it a value, or leave it out`);
};

/** Has a reader check a text, which stays as it is. */
export function checked(read: Reader<unknown>): Reader<string> {
  return (text, name) => {
    read(text, name);
    return text;
  };
}

/** @param least and `most`, both inclusive */
export function wholeNumber(least: number, most: number): Reader<number> {
  return (text, name) => {
    const fix = `give a number from ${least} to ${most}`;
    if (!/^\d+$/.test(text)) throw wrong(`${name} is ${quoted(text)}, not a number: ${fix}`);
    const number = Number(text);
    if (number < least) throw wrong(`${name} ${text} is too small: ${fix}`);
    if (number > most) throw wrong(`${name} ${text} is too large: ${fix}`);
    return number;
  };
}

export const pid = wholeNumber(1, HIGHEST_PID);
export const descriptor = wholeNumber(0, FD_MOST);

export function oneOf<const Choice extends string>(choices: readonly Choice[]): Reader<Choice> {
  return (text, name) => {
    const choice = choices.find((each) => each === text);
    if (choice !== undefined) return choice;
    const list = choices.join(", ").replace(/, (?!.*, )/, " or ");
    throw wrong(`${name} is ${quoted(text)}: it must be ${list}`);
  };
}

/**
 * A size in MiB with M behind it, in KiB with K, or in bytes; read as bytes.
 * @param least and `most` in MiB
 */
export function memorySize(least: number, most: number): Reader<number> {
  return (text, name) => {
    const fix = `give ${least}M to ${most}M, for Slipway's packets and connections`;
    if (!/^\d+[KM]?$/i.test(text)) throw wrong(`${name} is ${quoted(text)}, not a size: ${fix}`);
    const bytes = Number.parseInt(text, 10) * (UNITS[text.slice(-1).toUpperCase()] ?? 1);
    if (bytes < least * MEBIBYTE) throw wrong(`${name} ${text} is too small: ${fix}`);
    if (bytes > most * MEBIBYTE) throw wrong(`${name} ${text} is too large: ${fix}`);
    return bytes;
  };
}

/** RFC 1035 §2.3.4: 63 bytes a label; underscores occur in names that are not of hosts. */
const DOMAIN = /^(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?$/i;

export const domainName: Reader<string> = (text, name) => {
  if (DOMAIN.test(text)) return text;
  throw wrong(`${name} ${quoted(text)} is not a domain name: write one like example.org`);
};

/** A name that the guest's DNS answers itself. */
export interface HostRecord {
  /** In lower case, without a dot at its end. */
  readonly name: string;
  readonly address: Address | typeof HOST_GATEWAY;
}

/**
 * NAME=ADDRESS or, as docker and podman write it, NAME:ADDRESS and NAME;NAME:ADDRESS. An IPv6 address may be in
 * brackets.
 */
export const hostRecords: Reader<readonly HostRecord[]> = (text, name) => {
  const [, list = "", addressText = ""] = /^([^=:]+)[=:](.+)$/.exec(text) ?? [];
  const [, bracketed = addressText] = /^\[(.*:.*)\]$/.exec(addressText) ?? [];
  const address = addressText === HOST_GATEWAY ? HOST_GATEWAY : Address.parse(bracketed);
  const hosts = list.split(";");
  if (address !== null && hosts.every((host) => DOMAIN.test(host))) {
    return hosts.map((host) => ({ name: host.toLowerCase().replace(/\.$/, ""), address }));
  }
  throw wrong(
    `${name} ${quoted(text)}: write it like db.example=192.0.2.1, or db.example=${HOST_GATEWAY} for this host`,
  );
};

export const memberName = nameReader("name", "a member's name");
export const alias = nameReader("alias", "an alias");
export const hostname = nameReader("hostname", "a hostname");

/** @param what the text is to be */
function nameReader(kind: NameKind, what: string): Reader<string> {
  return (text, name) => {
    requireValidName(kind, what, text, name);
    return text;
  };
}

/** One word, as a second one would be another option. */
export const resolverOption: Reader<string> = (text, name) => {
  if (/^[a-z0-9-]+(:[a-z0-9.-]+)?$/i.test(text) && text.length <= LONGEST_RESOLVER_OPTION)
    return text;
  throw wrong(`${name} ${quoted(text)} is not an option of resolv.conf: write one like ndots:2`);
};

export const tapName: Reader<string> = (text) => interfaceName(text, "TAP name");

export const interfaceName: Reader<string> = (text, name) => {
  if (text === "lo") {
    throw wrong(`${name} lo is taken by the loopback interface: choose another, such as tap0`);
  }
  if (isInterfaceName(text)) return text;
  const isLong = Buffer.byteLength(text) > INTERFACE_NAME_BYTES;
  throw wrong(
    isLong
      ? `${name} ${quoted(text)} is too long: an interface name has at most ${INTERFACE_NAME_BYTES} bytes`
      : `${name} ${quoted(text)} is not an interface name: use letters and digits, such as tap0`,
  );
};

/** As dev_valid_name() of the kernel; without %, which TUNSETIFF would take as a pattern. */
export function isInterfaceName(text: string): boolean {
  return (
    Buffer.byteLength(text) <= INTERFACE_NAME_BYTES && /^(?!\.{1,2}$)[^\s/:%\p{Cc}]+$/u.test(text)
  );
}

/** Of onOff(): true for its name alone; what Go's flags take, which are docker's. */
export const truth: Reader<boolean> = (text, name) => {
  if (/^(|1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw wrong(`${name}=${text}: write ${name} or ${name}=false`);
};

/** Any `name=value`; the value is empty where the equals sign is missing. */
export const pair: Reader<readonly [name: string, value: string]> = (text, name) => {
  const [, key, value = ""] = /^([^=]+)(?:=(.*))?$/s.exec(text) ?? [];
  if (key === undefined) throw wrong(`${name} ${quoted(text)}: write it like name=value`);
  if (text.length > LONGEST_TEXT) {
    throw wrong(`${name} ${quoted(text)} is too long: give at most ${LONGEST_TEXT} characters`);
  }
  return [key, value];
};

/** `NAME=VALUE`; or `NAME`, the variable of the caller's environment. */
export const variable: Reader<string> = (text, name) => {
  if (/^[^=]+(=.*)?$/s.test(text)) return text;
  throw wrong(`${name} ${quoted(text)}: write it like NAME=value`);
};

/** A mistake in a command line. */
export function wrong(message: string): UserError {
  return new UserError(message, 2);
}
