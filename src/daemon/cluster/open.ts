import { hostname } from "node:os";
import path from "node:path";
import manifest from "../../../package.json" with { type: "json" };
import { openFile } from "../../cluster/fixed/file.js";
import { openCluster } from "../../cluster/open.js";
import type { HostRecord } from "../../cluster/records.js";
import type { ClusterConfig } from "../../config/cluster-config.js";
import { isValidName, shortId } from "../../config/names.js";
import type { StoreOptions } from "../../config/store-options.js";
import { openEtcd } from "../../store/etcd/open.js";
import type { Store } from "../../store/store.js";
import { type Identity, readIdentity } from "./identity.js";
import { type OpenOverlays, Overlays } from "./overlays.js";
import { openTunnelSockets } from "./tunnel-sockets.js";

/**
 * Prepares to join the cluster of a store.
 * @throws UserError when a file of the store's cannot be read, or its name not be resolved
 */
export async function prepareOverlays(config: ClusterConfig): Promise<OpenOverlays> {
  const storeOf = await prepareStore(config.store);
  return ({ networks, members, plane, paths }) => {
    const identity = readIdentity(path.dirname(paths.state));
    const self = hostRecord(config, identity);
    const store = storeOf(self);
    // No thread runs yet that could refuse them.
    void plane.openTunnels({ ...openTunnelSockets(config), privateKey: identity.privateKey });
    return new Overlays({
      networks,
      members,
      plane,
      place: store.place,
      openCluster: (events) => openCluster(store, self, events),
    });
  };
}

async function prepareStore(options: StoreOptions): Promise<(self: HostRecord) => Store> {
  switch (options.kind) {
    case "etcd": {
      const store = await openEtcd(options);
      return () => store;
    }
    case "file":
      return (self) => openFile(options.path, self);
  }
}

function hostRecord(
  { advertise, vxlanPort, wireguardPort }: ClusterConfig,
  { id, publicKey }: Identity,
): HostRecord {
  const name = hostname();
  return {
    id,
    // A kernel takes any text for its name.
    name: isValidName("hostname", name) ? name : shortId(id),
    addresses: advertise,
    vxlanPort,
    wireguardPort,
    publicKey: Buffer.from(publicKey).toString("base64"),
    version: manifest.version,
  };
}
