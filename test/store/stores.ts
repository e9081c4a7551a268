import { onTestFinished } from "vitest";
import type { EtcdOptions as StoreOptions } from "../../src/config/store-options.ts";
import { openEtcd } from "../../src/store/etcd/open.ts";
import type { Change, LeaseEvents, Store, StoreError } from "../../src/store/store.ts";
import type { Etcd } from "../lab/etcd.ts";

export const prefix = "/slipway/v1/";

/** Options of a store at an etcd of the lab, with its client certificate if it has any. */
export function optionsOf(etcd: Etcd, changed: Partial<StoreOptions> = {}): StoreOptions {
  const { certificates } = etcd;
  return {
    kind: "etcd",
    endpoints: etcd.members.map(({ place }) => ({ host: place.address, port: place.clientPort })),
    tls:
      certificates === null
        ? null
        : { ca: certificates.authority.file, identity: certificates.client },
    user: null,
    prefix,
    ...changed,
  };
}

/** A store of a lab's etcd, closed with the test. @param silence see openEtcd */
export async function openStore(
  etcd: Etcd,
  changed: Partial<StoreOptions> = {},
  silence?: number,
): Promise<Store> {
  const store = await openEtcd(optionsOf(etcd, changed), silence);
  onTestFinished(() => store.close());
  return store;
}

/** A store that is one relay, or another port of this machine, away. */
export function at(port: number): Pick<StoreOptions, "endpoints"> {
  return { endpoints: [{ host: "127.0.0.1", port }] };
}

/** What a call fails with. */
export async function failureOf(call: Promise<unknown>): Promise<StoreError> {
  try {
    await call;
  } catch (error) {
    return error as StoreError;
  }
  throw new Error("it did not fail");
}

/** Puts a key of ours. */
export async function put(store: Store, key: string, value: string): Promise<void> {
  await store.commit([], [{ kind: "put", key, value, lease: null }]);
}

/** What a watch reports, as it comes. */
export interface Watched {
  readonly changes: Change[];
  readonly revisions: number[];
  readonly ends: StoreError[];
  isOpen: boolean;
  close(): void;
}

/** A watch that is closed with the test. */
export function watch(store: Store, below: string, after: number): Watched {
  const seen: Watched = {
    changes: [],
    revisions: [],
    ends: [],
    isOpen: false,
    close: () => watched.close(),
  };
  const watched = store.watch(below, after, {
    onOpen: () => {
      seen.isOpen = true;
    },
    onChanges: (changes, revision) => {
      seen.changes.push(...changes);
      seen.revisions.push(revision);
    },
    onEnd: (why) => seen.ends.push(why),
  });
  return seen;
}

/** What becomes of a lease, as it comes. */
export class LeaseLog implements LeaseEvents {
  readonly events: string[] = [];
  readonly onLost = (): void => void this.events.push("lost");
  readonly onAway = (): void => void this.events.push("away");
  readonly onBack = (): void => void this.events.push("back");
}

/** What a change is about, for comparisons. */
export function brief(changes: readonly Change[]): string[] {
  return changes.map((change) =>
    change.kind === "put" ? `${change.entry.key}=${change.entry.value}` : `-${change.key}`,
  );
}
