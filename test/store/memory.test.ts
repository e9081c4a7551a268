import { expect, it } from "vitest";
import { MemoryStore } from "../../src/store/memory.ts";
import { brief, LeaseLog, put, watch } from "./stores.ts";

const given = new Map([
  ["a/1", "one"],
  ["a/2", "two"],
  ["b/1", "three"],
]);

it("lists what it is given, and has the conditions of any store", async () => {
  const store = new MemoryStore("file:lab", given);
  const { entries, revision } = await store.list("a/");
  expect(entries.map(({ key, value }) => `${key}=${value}`)).toEqual(["a/1=one", "a/2=two"]);
  const write = { kind: "put", key: "c", value: "written", lease: null } as const;
  const [entry] = entries;
  const wrong = [
    { kind: "absent", key: "a/1" },
    { kind: "empty", prefix: "a/" },
    { kind: "unchanged", key: "a/1", modified: 7 },
    { kind: "equal", key: "a/1", value: "two" },
  ] as const;
  for (const condition of wrong) {
    const outcome = await store.commit([condition], [write]);
    expect(outcome, condition.kind).toEqual({ done: false, revision, found: [entry] });
  }
  const right = [
    { kind: "absent", key: "c" },
    { kind: "empty", prefix: "c/" },
    { kind: "unchanged", key: "a/1", modified: entry.modified },
    { kind: "equal", key: "a/1", value: "one" },
  ] as const;
  expect(await store.commit(right, [write])).toMatchObject({ done: true, found: [] });
  expect((await store.list("c")).entries[0]).toMatchObject({ value: "written" });
});

it("reports what changes, from the revision asked for on; keys go with their lease", async () => {
  const store = new MemoryStore("file:lab", given);
  const { revision } = await store.list("");
  const lease = await store.lease(15, new LeaseLog());
  await store.commit([], [{ kind: "put", key: "a/3", value: "x", lease }]);
  const seen = watch(store, "a/", revision);
  await expect.poll(() => brief(seen.changes)).toEqual(["a/3=x"]);
  await put(store, "b/2", "elsewhere");
  await store.commit([], [{ kind: "put", key: "a/4", value: "y", lease }]);
  await put(store, "a/4", "stays");
  await lease.revoke();
  await store.commit([], [{ kind: "delete below", prefix: "a/" }]);
  await expect
    .poll(() => brief(seen.changes))
    .toEqual(["a/3=x", "a/4=y", "a/4=stays", "-a/3", "-a/1", "-a/2", "-a/4"]);
  expect(seen.isOpen).toBe(true);
  expect(seen.ends).toEqual([]);
});

it("has a watch end that asks for what it no longer knows", async () => {
  const store = new MemoryStore("file:lab", given);
  const { revision } = await store.list("");
  for (let i = 0; i < 1_001; i++) await put(store, "key", `${i}`);
  const seen = watch(store, "", revision);
  await expect.poll(() => seen.ends.map(({ failure }) => failure)).toEqual(["compacted"]);
  expect(seen.isOpen).toBe(false);
});
