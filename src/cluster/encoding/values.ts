import * as v from "valibot";
import { type Address, Prefix } from "../../base/address.js";
import { type Mac, parseInterfaceMac } from "../../base/mac.js";
import { FULL_ID } from "../../config/constants.js";
import { isValidName, type NameKind } from "../../config/names.js";
import { address } from "../../rpc/address.js";

/** Longest value that is looked at, in characters: a network with many labels has the longest. */
export const LONGEST_VALUE = 65_536;

/** What is in the store makes no sense. */
export class Nonsense {
  /** The rest of a sentence: what about it is wrong. */
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
}

/** Reads JSON of a schema. Whoever may write in the store may have written it. */
export function decode<T>(schema: v.GenericSchema<unknown, T>, value: string): T | Nonsense {
  if (value.length > LONGEST_VALUE) {
    return new Nonsense(`it has ${value.length} characters, and ${LONGEST_VALUE} at most are read`);
  }
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch {
    return new Nonsense("it is not JSON");
  }
  const result = v.safeParse(schema, json, { abortEarly: true });
  if (result.success) return result.output;
  const path = v.getDotPath(result.issues[0]);
  return new Nonsense(path === null ? "it is not of its form" : `its ${path} makes no sense`);
}

export const id = v.pipe(v.string(), v.regex(FULL_ID));

export const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));

/** A WireGuard key: 32 bytes in base64, of which the last character has four bits and two zeros (RFC 4648 §4). */
export const publicKey = v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/));

export const mac = v.pipe(
  v.string(),
  v.rawTransform<string, Mac>(({ dataset, addIssue, NEVER }) => {
    const parsed = parseInterfaceMac(dataset.value);
    if (parsed !== null) return parsed;
    addIssue({ message: "must be the MAC of an interface" });
    return NEVER;
  }),
);

export const prefix = v.pipe(
  v.string(),
  v.rawTransform<string, Prefix>(({ dataset, addIssue, NEVER }) => {
    try {
      return Prefix.parse(dataset.value);
    } catch {
      addIssue({ message: "must be a network" });
      return NEVER;
    }
  }),
);

/** One address or two of different families. */
export const onePerFamily = v.pipe(
  v.array(address),
  v.minLength(1),
  v.maxLength(2),
  v.check((all) => areOfTwoFamilies(all)),
);

/** Where a host, or a VTEP, can be reached; loopback for labs on one machine. */
export const unicast = v.pipe(
  address,
  v.check((each) => isUnicast(each)),
);

export function areOfTwoFamilies(all: readonly Address[]): boolean {
  return all.length < 2 || all[0].family !== all[1].family;
}

export function isUnicast(each: Address): boolean {
  return !each.isUnspecified && !each.isMulticast && !each.isBroadcast;
}

export function nameOf(kind: NameKind): v.GenericSchema<unknown, string> {
  return v.pipe(
    v.string(),
    v.check((text) => isValidName(kind, text)),
  );
}
