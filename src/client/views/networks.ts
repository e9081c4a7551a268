import { formatTable } from "../../base/table.js";
import type { ListOptions } from "../../commandline/requests.js";
import { shortId } from "../../config/names.js";
import type { NetworkReport } from "../../rpc/reports.js";
import { formatAll } from "../format.js";
import type { Heads } from "../template/heads.js";
import { type Struct, structOf } from "../template/value.js";
import { labelFields } from "./labels.js";
import { momentText } from "./moments.js";

const HEADS: Heads = { ID: "NETWORK ID", IPv4: "IPV4", IPv6: "IPV6" };

/** What `network ls` prints. */
export function networkList(
  networks: readonly NetworkReport[],
  { output, quiet, noTrunc }: ListOptions,
): string {
  const shown = noTrunc ? (id: string) => id : shortId;
  if (quiet) return networks.map(({ Id }) => `${shown(Id)}\n`).join("");
  return formatAll(networks, output, {
    heads: HEADS,
    view: (network) => listed(network, shown),
    table: () =>
      formatTable(
        ["NETWORK ID", "NAME", "DRIVER", "SCOPE", "SUBNETS", "MEMBERS"],
        networks.map(({ Id, Name, Driver, Scope, IPAM, Containers }) => [
          shown(Id),
          Name,
          Driver,
          Scope,
          IPAM.Config.map(({ Subnet }) => Subnet).join(", "),
          String(Object.keys(Containers).length),
        ]),
      ),
  });
}

/** Docker's fields of `network ls`, and the report's. */
function listed(network: NetworkReport, shown: (id: string) => string): Struct {
  const { Id, Name, Driver, Scope, EnableIPv4, EnableIPv6, Internal, Labels, Created } = network;
  return {
    ID: shown(Id),
    Name,
    Driver,
    Scope,
    IPv4: EnableIPv4,
    IPv6: EnableIPv6,
    Internal,
    CreatedAt: momentText(Date.parse(Created)),
    ...networkFields(network),
    ...labelFields(Labels),
  };
}

/** The report, with the fields that JSON leaves out where they are empty; in docker's order. */
export function networkFields(network: NetworkReport): Struct {
  const Config = network.IPAM.Config.map(({ Subnet, IPRange = "", Gateway }) => ({
    Subnet,
    IPRange,
    Gateway,
  }));
  return structOf({ ...network, IPAM: { ...network.IPAM, Config }, Peers: network.Peers ?? [] });
}
