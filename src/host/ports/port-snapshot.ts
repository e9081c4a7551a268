import * as v from "valibot";
import { port } from "../../api/arguments.js";
import type { PublishedRule } from "../../nat/published-port.js";
import { address } from "../../rpc/address.js";

const rules = v.array(
  v.object({
    id: v.pipe(v.number(), v.integer(), v.minValue(1)),
    protocol: v.picklist(["tcp", "udp"]),
    host: address,
    hostPort: port,
    guest: address,
    guestPort: port,
    otherwise: v.exactOptional(address),
    isDualStack: v.exactOptional(v.literal(true)),
    isFree: v.exactOptional(v.literal(true)),
    interface: v.exactOptional(v.string()),
    splice: v.exactOptional(v.picklist(["address", "loopback"])),
  }),
);

/** Writes the published ports of a guest as text, for the process that takes the guest over. */
export function formatSnapshot(ports: readonly PublishedRule[]): string {
  return JSON.stringify(
    ports.map(({ host, guest, otherwise, ...rest }) => ({
      ...rest,
      host: `${host}`,
      guest: `${guest}`,
      ...(otherwise === undefined ? {} : { otherwise: `${otherwise}` }),
    })),
  );
}

/** @throws Error when formatSnapshot() did not write it */
export function parseSnapshot(text: string): readonly PublishedRule[] {
  return text === "" ? [] : v.parse(rules, JSON.parse(text));
}
