import { hostname } from "node:os";
import path from "node:path";
import manifest from "../../../package.json" with { type: "json" };
import type { Address } from "../../base/address.js";
import type { Mac } from "../../base/mac.js";
import { openFile } from "../../cluster/fixed/file.js";
import { openCluster } from "../../cluster/open.js";
import type { HostRecord } from "../../cluster/records.js";
import type { ClusterConfig } from "../../config/cluster-config.js";
import { isValidName, shortId } from "../../config/names.js";
import type { StoreOptions } from "../../config/store-options.js";
import { prepareEtcd } from "../../store/etcd/open.js";
import type { Store } from "../../store/store.js";
import { Flannels } from "./flannels.js";
import { type Identity, readIdentity } from "./identity.js";
import { type OpenOverlays, Overlays } from "./overlays.js";
import { openTunnelSockets } from "./tunnel-sockets.js";

/**
 * Prepares to join the cluster of a store.
 * @throws UserError when a file of the store's cannot be read, or its name not be resolved
 */
export async function prepareOverlays(config: ClusterConfig): Promise<OpenOverlays> {
  const stores = await prepareStore(config.store);
  return ({ networks, members, plane, paths, onKept }) => {
    const identity = readIdentity(path.dirname(paths.state));
    const self = hostRecord(config, identity);
    const store = stores.open(self);
    // No thread runs yet that could refuse them.
    void plane.openTunnels({ ...openTunnelSockets(config), privateKey: identity.privateKey });
    const flannels = new Flannels({
      networks,
      plane,
      openStore: stores.openBelow,
      publicIp: ipv4Of(config.advertise),
      listen: ipv4Of(config.listen),
      vtepMac: vtepMacOf(identity.id),
    });
    return new Overlays({
      flannels,
      networks,
      members,
      plane,
      place: store.place,
      onKept,
      openCluster: (events) => openCluster(store, self, events),
    });
  };
}

/** What opens stores. */
interface Stores {
  readonly open: (self: HostRecord) => Store;
  /** One of the keys below another prefix; null: there are none. */
  readonly openBelow: ((prefix: string) => Store) | null;
}

async function prepareStore(options: StoreOptions): Promise<Stores> {
  switch (options.kind) {
    case "etcd": {
      const openBelow = await prepareEtcd(options);
      return { open: () => openBelow(options.prefix), openBelow };
    }
    case "file":
      return { open: (self) => openFile(options.path, self), openBelow: null };
  }
}

function ipv4Of(addresses: readonly Address[]): Address | null {
  return addresses.find(({ family }) => family === 4) ?? null;
}

/** The same after each start: locally administered, and five bytes of the host's id, which is random. */
function vtepMacOf(id: string): Mac {
  return VTEP_MAC_PREFIX + Number.parseInt(id.slice(0, 10), 16);
}

const VTEP_MAC_PREFIX: Mac = 0x0200_0000_0000;

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
