import * as v from "valibot";
import { Address } from "../base/address.js";

/** The schema of an IPv4 or IPv6 address in JSON. */
export const address = v.pipe(
  v.string(),
  v.rawTransform<string, Address>(({ dataset, addIssue, NEVER }) => {
    const parsed = Address.parse(dataset.value);
    if (parsed !== null) return parsed;
    addIssue({ message: "must be an IPv4 or IPv6 address" });
    return NEVER;
  }),
);
