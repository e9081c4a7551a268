import { isUtf8 } from "node:buffer";
import * as v from "valibot";
import type { Change, Entry } from "../store.js";

/*
 * What etcd's JSON gateway says (etcd API reference v3, with proto3's JSON mapping): 64-bit numbers are texts, bytes are
 * base64, and what is zero, false or empty is left out.
 */

/** A 64-bit number that counts: revisions, seconds. More than a safe integer is no count. */
const count = v.optional(
  v.pipe(v.string(), v.regex(/^-?\d{1,16}$/), v.transform(Number), v.safeInteger(), v.minValue(0)),
  "0",
);

/** Ours count from 1; etcd has one that is negative, for what belongs to no watch. */
const watchId = v.optional(v.pipe(v.string(), v.regex(/^-?\d{1,15}$/), v.transform(Number)), "0");

const bytes = v.optional(v.string(), "");
const flag = v.optional(v.boolean(), false);
const header = v.object({ revision: count });

const keyValue = v.object({
  key: bytes,
  value: bytes,
  create_revision: count,
  mod_revision: count,
});

const range = v.object({ header, kvs: v.optional(v.array(keyValue), []), more: flag });

/** A range within a transaction has a header of its own, which is empty. */
const txnRange = v.object({ response_range: v.optional(v.object({ kvs: range.entries.kvs })) });

const event = v.object({ type: v.optional(v.picklist(["PUT", "DELETE"]), "PUT"), kv: keyValue });

export const schemas = {
  version: v.object({ etcdserver: v.pipe(v.string(), v.maxLength(64)) }),
  range,
  txn: v.object({
    header,
    succeeded: flag,
    responses: v.optional(v.array(txnRange), []),
  }),
  granted: v.object({ TTL: count }),
  keptAlive: v.object({ result: v.object({ TTL: count }) }),
  nothing: v.object({}),
  token: v.object({ token: v.pipe(v.string(), v.minLength(1), v.maxLength(16_384)) }),
  watched: v.object({
    result: v.object({
      header,
      watch_id: watchId,
      created: flag,
      canceled: flag,
      compact_revision: count,
      cancel_reason: bytes,
      fragment: flag,
      events: v.optional(v.array(event), []),
    }),
  }),
  /** Of a call, or of a stream; of etcd 3.4 or of later ones. */
  error: v.union([
    v.object({ code: v.number(), message: v.string() }),
    v.object({ code: v.number(), error: v.string() }),
    v.pipe(
      v.object({ error: v.object({ grpc_code: v.number(), message: v.string() }) }),
      v.transform(({ error: { grpc_code: code, message } }) => ({ code, message })),
    ),
    v.pipe(
      v.object({ error: v.object({ code: v.number(), message: v.string() }) }),
      v.transform(({ error }) => error),
    ),
  ]),
} as const;

export type KeyValue = v.InferOutput<typeof keyValue>;
export type Watched = v.InferOutput<typeof schemas.watched>["result"];

/** @returns null when the text is no JSON, or not of the schema */
export function parseAnswer<T>(schema: v.GenericSchema<unknown, T>, text: string): T | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const result = v.safeParse(schema, json);
  return result.success ? result.output : null;
}

/**
 * What is below `prefix`. A key that is no UTF-8 is none of ours, whoever wrote it, and is left out.
 */
export function entriesOf(pairs: readonly KeyValue[], prefix: string): Entry[] {
  return pairs.flatMap((pair) => {
    const key = keyOf(pair, prefix);
    return key === null ? [] : [entryOf(pair, key)];
  });
}

/** The changes of events, each with its revision. */
export function changesOf(
  events: Watched["events"],
  prefix: string,
): { readonly change: Change; readonly revision: number }[] {
  return events.flatMap(({ type, kv }) => {
    const key = keyOf(kv, prefix);
    if (key === null) return [];
    const change: Change =
      type === "PUT" ? { kind: "put", entry: entryOf(kv, key) } : { kind: "delete", key };
    return [{ change, revision: kv.mod_revision }];
  });
}

function entryOf(pair: KeyValue, key: string): Entry {
  const value = Buffer.from(pair.value, "base64").toString();
  return { key, value, created: pair.create_revision, modified: pair.mod_revision };
}

/** A key without the store's prefix; null: it is none of ours. */
function keyOf({ key }: KeyValue, prefix: string): string | null {
  const raw = Buffer.from(key, "base64");
  if (!isUtf8(raw)) return null;
  const text = raw.toString();
  return text.startsWith(prefix) ? text.slice(prefix.length) : null;
}
