import { expect, it, onTestFinished } from "vitest";
import { openMirror } from "../../src/store/mirror.ts";
import type { Entry, Store } from "../../src/store/store.ts";
import { Etcd } from "../lab/etcd.ts";
import { Relay } from "../lab/relay.ts";
import { at, openStore, put } from "./stores.ts";

/** What a mirror has reported. */
interface Reflection {
  readonly values: Map<string, string>;
  /** Reports of keys that were known as they are, and of deletions of keys that were not. */
  readonly superfluous: string[];
  readonly states: string[];
}

/** A mirror that is closed with the test. */
function reflect(store: Store, below: string): Reflection {
  const seen: Reflection = { values: new Map(), superfluous: [], states: [] };
  const known = new Map<string, Entry>();
  const mirror = openMirror(store, below, {
    onPut: (entry) => {
      if (known.get(entry.key)?.modified === entry.modified) seen.superfluous.push(entry.key);
      known.set(entry.key, entry);
      seen.values.set(entry.key, entry.value);
    },
    onDelete: (key) => {
      if (!seen.values.delete(key)) seen.superfluous.push(`-${key}`);
    },
    onState: (state, why) => seen.states.push(why === null ? state : `${state}: ${why.failure}`),
  });
  onTestFinished(() => mirror.close());
  return seen;
}

const values = (seen: Reflection) => [...seen.values].map(([key, value]) => `${key}=${value}`);

it("reports what there is, and each change", async () => {
  await using etcd = await Etcd.create();
  const store = await openStore(etcd);
  await put(store, "a/1", "x");
  await put(store, "b/1", "elsewhere");
  const seen = reflect(store, "a/");
  await expect.poll(() => seen.states).toEqual(["current"]);
  expect(values(seen)).toEqual(["a/1=x"]);
  await put(store, "a/2", "y");
  await put(store, "a/1", "z");
  await expect.poll(() => values(seen)).toEqual(["a/1=z", "a/2=y"]);
  await store.commit([], [{ kind: "delete", key: "a/1" }]);
  await expect.poll(() => values(seen)).toEqual(["a/2=y"]);
  expect(seen.superfluous).toEqual([]);
});

it("forgets nothing while the store is away, and then has what it missed", async () => {
  await using etcd = await Etcd.create();
  const store = await openStore(etcd);
  await put(store, "a/1", "x");
  const seen = reflect(store, "a/");
  await expect.poll(() => seen.states).toEqual(["current"]);
  await etcd.members[0].kill();
  await expect.poll(() => seen.states.at(-1)).toBe("stale: unreachable");
  expect(values(seen)).toEqual(["a/1=x"]);
  etcd.members[0].restart();
  await etcd.healthy();
  await etcd.put("/slipway/v1/a/2", "y");
  await expect.poll(() => seen.states.at(-1)).toBe("current");
  await expect.poll(() => values(seen)).toEqual(["a/1=x", "a/2=y"]);
  expect(seen.superfluous).toEqual([]);
});

it("reports the difference when the store has forgotten what happened meanwhile", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  await using relay = await Relay.open({ address: place.address, port: place.clientPort });
  const store = await openStore(etcd, at(relay.port));
  for (const key of ["kept", "changed", "gone"]) await put(store, `a/${key}`, "x");
  const seen = reflect(store, "a/");
  await expect.poll(() => seen.states).toEqual(["current"]);
  // Whatever comes meanwhile is cut off before its answer.
  relay.silence();
  relay.cut();
  await expect.poll(() => seen.states.at(-1)).toBe("stale: unreachable");
  await etcd.put("/slipway/v1/a/changed", "y");
  await etcd.put("/slipway/v1/a/new", "z");
  await etcd.remove("/slipway/v1/a/gone");
  await etcd.compact();
  // An attempt that was under way before would be served.
  relay.cut();
  relay.speak();
  // etcd says first that it has the watch, and then that it cannot serve it.
  await expect.poll(() => seen.states).toContain("stale: compacted");
  await expect.poll(() => seen.states.at(-1)).toBe("current");
  expect(values(seen).toSorted()).toEqual(["a/changed=y", "a/kept=x", "a/new=z"]);
  expect(seen.superfluous).toEqual([]);
});

it("notices that its connection leads nowhere, and misses nothing", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  await using relay = await Relay.open({ address: place.address, port: place.clientPort });
  const store = await openStore(etcd, at(relay.port), 1_000);
  const seen = reflect(store, "a/");
  await expect.poll(() => seen.states).toEqual(["current"]);
  // What is connected now is silent for good; new connections get through.
  relay.silence();
  await etcd.put("/slipway/v1/a/1", "x");
  relay.speak();
  await expect.poll(() => values(seen)).toEqual(["a/1=x"]);
});
