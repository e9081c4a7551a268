import * as v from "valibot";
import { decode, id, Nonsense, nameOf } from "./values.js";

/** Who has an address, a MAC or a name. A peer is on no host. */
export interface Owner {
  readonly kind: "owner";
  readonly host: string | null;
  /** Id of the member. */
  readonly member: string;
}

/** An address that was given back: nobody gets it but whoever had it, while others may still remember. */
export interface Resting {
  readonly kind: "resting";
  readonly host: string | null;
  /** Of the member that had it, in lower case. */
  readonly name: string;
}

const schema = v.union([
  v.object({ host: v.nullable(id), member: id }),
  v.object({ host: v.nullable(id), resting: nameOf("name") }),
]);

export function encodeOwner(host: string | null, member: string): string {
  return JSON.stringify({ host, member });
}

export function encodeResting(host: string | null, name: string): string {
  return JSON.stringify({ host, resting: name.toLowerCase() });
}

export function decodeOwner(value: string): Owner | Resting | Nonsense {
  const decoded = decode(schema, value);
  if (decoded instanceof Nonsense) return decoded;
  const { host } = decoded;
  return "member" in decoded
    ? { kind: "owner", host, member: decoded.member }
    : { kind: "resting", host, name: decoded.resting };
}
