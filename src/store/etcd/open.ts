import { X509Certificate } from "node:crypto";
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { formatEndpoint } from "../../base/address.js";
import { errnoOf, UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { quoted } from "../../base/printable.js";
import type { EtcdOptions, Secret, StoreEndpoint, StoreTls } from "../../config/store-options.js";
import type { Store } from "../store.js";
import { type Endpoint, Endpoints } from "./endpoints.js";
import { EtcdStore } from "./etcd-store.js";
import { Gateway } from "./gateway.js";
import { type TlsMaterial, Transport } from "./transport.js";

/**
 * Reads the files and resolves the names of a store, and connects when something is asked of it: it may be away now.
 * What it returns needs sockets only, so that it works behind the lock-down.
 * @param silence for tests: how long a watch may say nothing, in ms
 * @throws UserError a file cannot be read, or is none of its kind; no endpoint's name can be resolved
 */
export async function openEtcd(options: EtcdOptions, silence?: number): Promise<Store> {
  return (await prepareEtcd(options, silence))(options.prefix);
}

/** As openEtcd(), for several stores there that differ by the prefix of their keys. */
export async function prepareEtcd(
  options: EtcdOptions,
  silence?: number,
): Promise<(prefix: string) => Store> {
  const { endpoints, tls, user } = options;
  const scheme = tls === null ? "etcd" : "etcds";
  const transport = await makeTransport(tls);
  const account = user === null ? null : { name: user.name, password: readSecret(user.password) };
  const resolved = await resolveAll(endpoints, scheme);
  const hosts = endpoints.map(({ host, port }) => formatEndpoint(host, port));
  const place = `${scheme}://${hosts.join(",")}`;
  return (prefix) => {
    const access = { prefix, user: account };
    const gateway = new Gateway(transport.another(), new Endpoints(resolved), access);
    return new EtcdStore(gateway, place, prefix, silence);
  };
}

async function makeTransport(tls: StoreTls | null): Promise<Transport> {
  if (tls === null) return Transport.open(null);
  const material: TlsMaterial = {
    ca: tls.ca === null ? null : readFile("--store-ca", tls.ca),
    identity:
      tls.identity === null
        ? null
        : {
            cert: readFile("--store-cert", tls.identity.cert),
            key: readFile("--store-key", tls.identity.key),
          },
  };
  try {
    // Node takes an authority that is none without a word.
    if (material.ca !== null) new X509Certificate(material.ca);
    return await Transport.open(material);
  } catch (error) {
    const files = [tls.ca, tls.identity?.cert, tls.identity?.key].filter((file) => file != null);
    throw new UserError(
      `${files.join(", ")}: no certificates and key in PEM that belong together (${errnoOf(error)})`,
    );
  }
}

function readFile(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`${option} ${quoted(path)} cannot be read (${errnoOf(error)})`);
  }
}

function readSecret(secret: Secret): string {
  switch (secret.kind) {
    case "word":
      return secret.word;
    case "file":
      return readFile("--store-password", secret.path).toString().split("\n", 1)[0];
    case "env": {
      const word = process.env[secret.name];
      if (word !== undefined) return word;
      throw new UserError(`--store-password: the environment has no ${quoted(secret.name)}`);
    }
  }
}

/** Endpoints with addresses. A name with several has as many; one without any is left out while there are others. */
async function resolveAll(
  endpoints: readonly StoreEndpoint[],
  scheme: string,
): Promise<Endpoint[]> {
  const found = await Promise.all(endpoints.map((endpoint) => resolve(endpoint, scheme)));
  const failures = found.filter((each) => typeof each === "string");
  const resolved = found.flatMap((each) => (typeof each === "string" ? [] : each));
  if (resolved.length === 0) throw new UserError(failures[0] ?? "--store names no endpoint");
  for (const failure of failures) log.warn(failure);
  return resolved;
}

/** @returns why it cannot be, if it cannot */
async function resolve(
  { host, port }: StoreEndpoint,
  scheme: string,
): Promise<Endpoint[] | string> {
  const text = `${scheme}://${formatEndpoint(host, port)}`;
  try {
    const addresses = await lookup(host, { all: true });
    return addresses.map(({ address }) => ({ text, host, address, port }));
  } catch (error) {
    return `the host of ${text} cannot be resolved (${errnoOf(error)}): correct --store, or write its address`;
  }
}
