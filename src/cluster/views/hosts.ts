import { formatEndpoint } from "../../base/address.js";
import type { Entry } from "../../store/store.js";
import type { ClusterEvents } from "../cluster.js";
import { decodeHost, encodeHost } from "../encoding/host.js";
import { hostKey } from "../keys.js";
import type { HostRecord } from "../records.js";
import type { Complaints } from "./complaints.js";
import { View } from "./view.js";

/** The hosts that can be there together. This one is not reported. */
export function hostView(
  complaints: Complaints,
  self: HostRecord,
  { onHost, onHostGone }: Pick<ClusterEvents, "onHost" | "onHostGone">,
): View<HostRecord> {
  const events = {
    onShown: (host: HostRecord) => {
      if (host.id !== self.id) onHost(host);
    },
    onHidden: ({ id }: HostRecord) => {
      if (id !== self.id) onHostGone(id);
    },
  };
  return new View({ decode: decodeHost, stakes }, complaints, events);
}

/** The record of a host whose endpoints the store has given it: nobody else can be there. */
export function ownEntry(self: HostRecord): Entry {
  return { key: hostKey(self.id), value: encodeHost(self), created: 0, modified: 0 };
}

function stakes({ addresses, vxlanPort, wireguardPort, publicKey }: HostRecord): readonly string[] {
  const endpoints = addresses.flatMap((address) =>
    [vxlanPort, wireguardPort].map((port) => `endpoint ${formatEndpoint(address, port)}`),
  );
  return [...endpoints, `public key ${publicKey}`];
}
