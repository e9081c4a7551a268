import * as v from "valibot";
import { Address } from "../base/address.js";
import type { PublishedRule } from "../flow/published.js";

const address = v.pipe(
  v.string(),
  v.rawTransform<string, Address>(({ dataset, addIssue, NEVER }) => {
    const parsed = Address.parse(dataset.value);
    if (parsed !== null) return parsed;
    addIssue({ message: `${dataset.value} is not an address` });
    return NEVER;
  }),
);
const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const rules = v.array(
  v.object({
    id: v.pipe(v.number(), v.integer(), v.minValue(1)),
    protocol: v.picklist(["tcp", "udp"]),
    ...{ host: address, hostPort: port, guest: address, guestPort: port },
    otherwise: v.exactOptional(address),
  }),
);

/** The published ports of a guest, for whoever serves it next. */
export function keptText(ports: readonly PublishedRule[]): string {
  return JSON.stringify(
    ports.map(({ host, guest, otherwise, ...rest }) => ({
      ...{ ...rest, host: `${host}`, guest: `${guest}` },
      ...(otherwise === undefined ? {} : { otherwise: `${otherwise}` }),
    })),
  );
}

/** @throws Error when it is not of keptText() */
export function parseKept(text: string): readonly PublishedRule[] {
  return text === "" ? [] : v.parse(rules, JSON.parse(text));
}
