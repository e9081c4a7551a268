import { Address } from "../../base/address.js";
import { quoted } from "../../base/printable.js";
import type { Secret, StoreEndpoint } from "../../config/store-options.js";
import type { Reader } from "./option.js";
import { wholeNumber, wrong } from "./values.js";

/** Where a store is. */
export type StorePlace =
  | {
      readonly kind: "etcd";
      readonly isSecure: boolean;
      readonly endpoints: readonly StoreEndpoint[];
    }
  /** @property path as given: it may be relative */
  | { readonly kind: "file"; readonly path: string };

/** Of etcd's clients (IANA). */
const ETCD_PORT = 2379;
/** More than an etcd cluster has members. */
const MOST_ENDPOINTS = 32;

/** Of keys, in characters: each key repeats it. */
const LONGEST_PREFIX = 128;

const EXAMPLE = "etcd://192.0.2.10:2379";
const FORMS = `write ${EXAMPLE}, etcds://… with TLS, or file:PATH`;

/** Schemes that mean a store which is not here, or not by that name. */
const OTHERS: Readonly<Record<string, string>> = {
  http: "write etcd:// for etcd's port of clients",
  https: "write etcds:// for etcd with TLS",
  consul: "hosts share networks by etcd: there is no other store but a file",
  zk: "hosts share networks by etcd: there is no other store but a file",
};

/** `etcd://HOST[:PORT][,…]`, `etcds://…` or `file:PATH`. */
export const storePlace: Reader<StorePlace> = (text, name) => {
  const [, scheme = "", rest = ""] = /^([a-z]+):(.*)$/s.exec(text) ?? [];
  if (scheme === "file") return { kind: "file", path: filePath(text, rest, name) };
  // Before any message that repeats the text.
  if (text.includes("@")) {
    throw wrong(`${name}: user and password are given by --store-user and --store-password`);
  }
  if (Object.hasOwn(OTHERS, scheme)) throw wrong(`${name} ${quoted(text)}: ${OTHERS[scheme]}`);
  if ((scheme !== "etcd" && scheme !== "etcds") || !rest.startsWith("//")) {
    throw wrong(`${name} ${quoted(text)} is not a store: ${FORMS}`);
  }
  const list = rest.slice(2).replace(/\/$/, "");
  if (list.includes("/")) {
    throw wrong(
      `${name} ${quoted(text)}: leave out the path; --store-prefix gives a prefix of keys`,
    );
  }
  const hosts = list.split(",");
  if (hosts.length > MOST_ENDPOINTS)
    throw wrong(`${name} names more than ${MOST_ENDPOINTS} servers`);
  const endpoints = hosts.map((host) => endpoint(host, name));
  return { kind: "etcd", isSecure: scheme === "etcds", endpoints };
};

/** Also as the URL of a file, which has an empty host. */
function filePath(text: string, rest: string, name: string): string {
  const path = rest.replace(/^\/\/(?=\/)/, "");
  if (path !== "" && !path.startsWith("//")) return path;
  throw wrong(`${name} ${quoted(text)}: write it like file:PATH`);
}

function endpoint(text: string, name: string): StoreEndpoint {
  const [, bracketed, plain = "", port] = /^(?:\[(.*)\]|([^:[\]]+))(?::(\d*))?$/s.exec(text) ?? [];
  const host = bracketed ?? plain;
  const isRight =
    bracketed === undefined
      ? Address.parse(host)?.family === 4 || isHostName(host)
      : Address.parse(host)?.family === 6;
  if (!isRight) throw wrong(`${name} ${quoted(text)} is not a server: ${serverAdvice(text)}`);
  return { host, port: port === undefined ? ETCD_PORT : readPort(port, `${name} port`) };
}

function serverAdvice(text: string): string {
  if (Address.parse(text)?.family === 6) return `write an IPv6 address in brackets, [${text}]`;
  return `write HOST:PORT, such as 192.0.2.10:${ETCD_PORT}, and commas between several`;
}

/** RFC 1123 §2.1. A last label that is a number would be a malformed address. */
function isHostName(text: string): boolean {
  const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
  return (
    text.length <= 253 &&
    new RegExp(`^${label}(\\.${label})*\\.?$`, "i").test(text) &&
    !/(^|\.)\d+\.?$/.test(text)
  );
}

export const readPort = wholeNumber(1, 65_535);

/** A prefix of keys, with a slash at both ends. */
export const keyPrefix: Reader<string> = (text, name) => {
  const words = text.replace(/^\/|\/$/g, "");
  const isRight = words.split("/").every((word) => /^(?!\.+$)[\w.-]+$/.test(word));
  if (isRight && words.length <= LONGEST_PREFIX) return `/${words}/`;
  throw wrong(
    `${name} ${quoted(text)}: write letters, digits and _ . - between slashes, ${LONGEST_PREFIX} at most, such as /slipway/v1/`,
  );
};

/** The word itself, `@FILE` or `env:NAME`. Messages never repeat it. */
export const secret: Reader<Secret> = (text, name) => {
  if (text.startsWith("@")) {
    if (text.length > 1) return { kind: "file", path: text.slice(1) };
    throw wrong(`${name} names no file behind @: write @FILE`);
  }
  if (text.startsWith("env:")) {
    const variable = text.slice("env:".length);
    if (/^[a-z_]\w*$/i.test(variable)) return { kind: "env", name: variable };
    throw wrong(`${name} names no variable behind env: write it like env:STORE_PASSWORD`);
  }
  if (text === "") throw wrong(`${name} is empty: give the password, @FILE or env:NAME`);
  return { kind: "word", word: text };
};
