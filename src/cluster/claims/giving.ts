import type { Address } from "../../base/address.js";
import type { Mac } from "../../base/mac.js";
import type { Condition, Lease, Operation, Store } from "../../store/store.js";
import { encodeOwner, encodeResting } from "../encoding/owner.js";
import { ADDRESSES, addressKey, macKey, nameKey } from "../keys.js";

/** What is given back. */
export interface Given {
  readonly network: string;
  /** null: of a peer. */
  readonly host: string | null;
  /** Its id. */
  readonly member: string;
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly mac: Mac;
  /** Whether its name stays: on another network it is needed. */
  readonly keepsName: boolean;
  /** The key of its record. */
  readonly key: string;
}

/** The first assumes that all of it is ours still, the second knows; what changes meanwhile has one more. */
const MOST_ROUNDS = 3;

/**
 * Deletes what a member had; its addresses rest. What somebody else has meanwhile stays that one's.
 * @param condition which the record must meet
 * @returns whether it did
 * @throws StoreError
 */
export async function giveBack(
  store: Store,
  given: Given,
  lease: Lease,
  condition: Condition | null,
): Promise<boolean> {
  const owner = encodeOwner(given.host, given.member);
  let keys = keysOf(given);
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const outcome = await store.commit(
      [
        ...(condition === null ? [] : [condition]),
        ...keys.map((key): Condition => ({ kind: "equal", key, value: owner })),
      ],
      [...keys.map((key) => giving(given, key, lease)), { kind: "delete", key: given.key }],
    );
    if (outcome.done) return true;
    keys = outcome.found.filter(({ value }) => value === owner).map(({ key }) => key);
  }
  return false;
}

function giving({ host, name }: Given, key: string, lease: Lease): Operation {
  if (!key.startsWith(ADDRESSES)) return { kind: "delete", key };
  return { kind: "put", key, value: encodeResting(host, name), lease };
}

function keysOf({ network, name, addresses, mac, keepsName }: Given): readonly string[] {
  return [
    ...(keepsName ? [] : [nameKey(name)]),
    macKey(network, mac),
    ...addresses.map((address) => addressKey(network, address)),
  ];
}
