import { formatEndpoint } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { shortId } from "../config/names.js";
import type { Condition, Entry, Lease, Operation, Store } from "../store/store.js";
import { decodeHost, encodeHost } from "./encoding/host.js";
import { Nonsense } from "./encoding/values.js";
import { endpointKey, hostKey } from "./keys.js";
import type { HostRecord } from "./records.js";

/** The first finds out who is there, the second takes over from a daemon before, and what changes meanwhile has one more. */
const MOST_ATTEMPTS = 3;

/**
 * Puts a host and its endpoints into the store. A daemon before with the same id and endpoints is this host, too: what it
 * had is taken over.
 * @param nameOf the name of another host, by its id
 * @throws StoreError
 * @throws UserError when another host has the id, or an endpoint
 */
export async function announceHost(
  store: Store,
  self: HostRecord,
  lease: Lease,
  nameOf: (id: string) => string,
): Promise<void> {
  const values = valuesOf(self);
  let found: readonly Entry[] = [];
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    for (const entry of found) requireOurs(self, entry, nameOf);
    const operations = [...values].map(
      ([key, value]): Operation => ({ kind: "put", key, value, lease }),
    );
    const outcome = await store.commit(conditionsFor([...values.keys()], found), operations);
    if (outcome.done) return;
    found = outcome.found;
  }
  throw new UserError(
    `${store.place}: ${hostKey(self.id)} changes all the time: is the id of two hosts`,
  );
}

/** Takes a host out of the store, if what is there is of this one. @throws StoreError */
export async function withdrawHost(store: Store, self: HostRecord): Promise<void> {
  const values = [...valuesOf(self)];
  await store.commit(
    values.map(([key, value]) => ({ kind: "equal", key, value })),
    values.map(([key]) => ({ kind: "delete", key })),
  );
}

/** That the keys are as they were found: there with a value, or not there. */
export function conditionsFor(
  keys: readonly string[],
  found: readonly Entry[],
): readonly Condition[] {
  const values = new Map(found.map(({ key, value }) => [key, value]));
  return keys.map((key) => {
    const value = values.get(key);
    return value === undefined ? { kind: "absent", key } : { kind: "equal", key, value };
  });
}

function valuesOf(self: HostRecord): ReadonlyMap<string, string> {
  const endpoints = self.addresses.flatMap((address) =>
    [self.vxlanPort, self.wireguardPort].map((port) => endpointKey(address, port)),
  );
  return new Map([
    [hostKey(self.id), encodeHost(self)],
    ...endpoints.map((key): [string, string] => [key, self.id]),
  ]);
}

function requireOurs(self: HostRecord, entry: Entry, nameOf: (id: string) => string): void {
  if (entry.key === hostKey(self.id)) {
    requireSameHost(self, entry);
    return;
  }
  if (entry.value === self.id) return;
  const endpoint = entry.key.slice(entry.key.indexOf("/") + 1);
  throw new UserError(
    `${endpoint} is the endpoint of host ${nameOf(entry.value)} in the cluster: give another --advertise, --vxlan-port or --wireguard-port`,
  );
}

/** Whether a record with the id of this host is of this host, or of a daemon before. */
export function isThisHost(self: HostRecord, { key, value }: Entry): boolean {
  const other = decodeHost(key, value);
  return !(other instanceof Nonsense) && endpointsOf(other) === endpointsOf(self);
}

function requireSameHost(self: HostRecord, { key, value }: Entry): void {
  const other = decodeHost(key, value);
  if (other instanceof Nonsense || endpointsOf(other) === endpointsOf(self)) return;
  const endpoint = formatEndpoint(other.addresses[0], other.vxlanPort);
  throw new UserError(
    `host ${other.name} at ${endpoint} has the id of this host, ${shortId(self.id)}: if this is that host at another address, it joins within 15 s; else give each host a state folder of its own`,
  );
}

/** The same text for hosts with the same endpoints. */
function endpointsOf({ addresses, vxlanPort, wireguardPort }: HostRecord): string {
  return `${addresses.map(String).toSorted()} ${vxlanPort} ${wireguardPort}`;
}
