import type { Condition, Lease, Operation } from "../store.js";
import { EtcdLease } from "./lease.js";

/** A range of keys, as etcd wants it: from a key to the first one beyond. */
interface KeyRange {
  readonly key: string;
  readonly range_end?: string;
}

/** Bodies of requests to etcd's JSON gateway, whose bytes are base64 and whose 64-bit numbers are texts. */
export class Requests {
  readonly #prefix: string;

  /** @param prefix of all keys */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /**
   * A page of what is below `prefix`.
   * @param after the last key of the page before, in base64; null: the first page
   * @param revision as of which; 0: the latest
   */
  page(prefix: string, after: string | null, limit: number, revision: number): string {
    const { key, range_end } = this.below(prefix);
    const from = after === null ? key : successor(after);
    return JSON.stringify({ key: from, range_end, limit: `${limit}`, revision: `${revision}` });
  }

  txn(conditions: readonly Condition[], operations: readonly Operation[]): string {
    return JSON.stringify({
      compare: conditions.map((condition) => this.#comparison(condition)),
      success: operations.map((operation) => this.#operation(operation)),
      failure: conditions.map((condition) => ({ request_range: this.#asked(condition) })),
    });
  }

  /**
   * @param after the revision after which changes are wanted
   * @param id of the watch within its stream, from 1 on
   */
  watch(prefix: string, after: number, id: number): string {
    return JSON.stringify({
      create_request: {
        ...this.below(prefix),
        watch_id: `${id}`,
        start_revision: `${after + 1}`,
        progress_notify: true,
        fragment: true,
      },
    });
  }

  /** Everything that begins with a prefix; after which the next key is that with a last byte one higher. */
  below(prefix: string): KeyRange {
    const first = Buffer.from(this.#prefix + prefix);
    const end = Buffer.from(first);
    // The last byte is that of "/", or of a key's text in UTF-8, which has no 0xff.
    end[end.length - 1] += 1;
    return { key: first.toString("base64"), range_end: end.toString("base64") };
  }

  #key(key: string): string {
    return Buffer.from(this.#prefix + key).toString("base64");
  }

  #comparison(condition: Condition): object {
    const isAbsent = { target: "CREATE", result: "EQUAL", create_revision: "0" };
    switch (condition.kind) {
      case "absent":
        return { key: this.#key(condition.key), ...isAbsent };
      case "empty":
        return { ...this.below(condition.prefix), ...isAbsent };
      case "unchanged":
        return {
          key: this.#key(condition.key),
          target: "MOD",
          result: "EQUAL",
          mod_revision: `${condition.modified}`,
        };
      case "equal":
        return {
          key: this.#key(condition.key),
          target: "VALUE",
          result: "EQUAL",
          value: base64(condition.value),
        };
    }
  }

  /** What is asked for when the conditions do not hold. */
  #asked(condition: Condition): object {
    if (condition.kind === "empty") return { ...this.below(condition.prefix), limit: "1" };
    return { key: this.#key(condition.key) };
  }

  #operation(operation: Operation): object {
    switch (operation.kind) {
      case "put": {
        const { key, value, lease } = operation;
        const put = { key: this.#key(key), value: base64(value) };
        return { request_put: lease === null ? put : { ...put, lease: idOf(lease) } };
      }
      case "delete":
        return { request_delete_range: { key: this.#key(operation.key) } };
      case "delete below":
        return { request_delete_range: this.below(operation.prefix) };
    }
  }
}

/** @throws TypeError for a lease of another store */
function idOf(lease: Lease): string {
  if (!(lease instanceof EtcdLease)) throw new TypeError("a lease of another store");
  return lease.id;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** The first key after one. @param key in base64, as is the result */
function successor(key: string): string {
  return Buffer.concat([Buffer.from(key, "base64"), Buffer.of(0)]).toString("base64");
}
