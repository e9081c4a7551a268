import { formatTable } from "../../base/table.js";
import type { ListOptions } from "../../commandline/requests.js";
import { shortId } from "../../config/names.js";
import type { PeerReport } from "../../rpc/reports.js";
import { formatAll } from "../format.js";
import type { Heads } from "../template/heads.js";
import { type Struct, structOf } from "../template/value.js";

const HEADS: Heads = { ID: "PEER ID" };

/** What `network peer ls` prints. */
export function peerList(
  peers: readonly PeerReport[],
  { output, quiet, noTrunc }: ListOptions,
): string {
  const shown = noTrunc ? (id: string) => id : shortId;
  if (quiet) return peers.map(({ id }) => `${shown(id)}\n`).join("");
  return formatAll(peers, output, {
    heads: HEADS,
    view: (peer) => listed(peer, shown),
    table: () =>
      formatTable(
        ["PEER ID", "NAME", "KIND", "ADDRESSES", "MAC", "VIA"],
        peers.map(({ id, name, kind, addresses, mac, via }) => [
          shown(id),
          name,
          kind,
          addresses.join(", "),
          mac,
          via,
        ]),
      ),
  });
}

/** As listed() of hosts. */
function listed(peer: PeerReport, shown: (id: string) => string): Struct {
  const { id, name, kind, addresses, mac, via } = peer;
  return {
    ID: shown(id),
    Name: name,
    Kind: kind,
    Addresses: addresses.join(","),
    MAC: mac,
    Via: via,
    ...structOf(peer),
  };
}
