import { formatTable } from "../../base/table.js";
import type { ListOptions } from "../../commandline/requests.js";
import { shortId } from "../../config/names.js";
import type { HostReport } from "../../rpc/reports.js";
import { formatAll } from "../format.js";
import type { Heads } from "../template/heads.js";
import { type Struct, structOf } from "../template/value.js";

const HEADS: Heads = { ID: "HOST ID" };

/** What `host ls` prints. */
export function hostList(
  hosts: readonly HostReport[],
  { output, quiet, noTrunc }: ListOptions,
): string {
  const shown = noTrunc ? (id: string) => id : shortId;
  if (quiet) return hosts.map(({ id }) => `${shown(id)}\n`).join("");
  return formatAll(hosts, output, {
    heads: HEADS,
    view: (host) => listed(host, shown),
    table: () =>
      formatTable(
        ["HOST ID", "NAME", "ADDRESS", "STATE", "MEMBERS", "VERSION"],
        hosts.map(({ id, name, isSelf, addresses, state, members, version }) => [
          // As `docker node ls` marks the node that answers.
          isSelf ? `${shown(id)} *` : shown(id),
          name,
          addresses.join(", "),
          state,
          members === null ? "" : `${members}`,
          version,
        ]),
      ),
  });
}

/** Fields as docker's lists have them, and the report's, which begin with small letters. */
function listed(host: HostReport, shown: (id: string) => string): Struct {
  const { id, name, addresses, state, members, version, isSelf } = host;
  return {
    ID: shown(id),
    Name: name,
    Address: addresses.join(","),
    State: state,
    Members: members ?? "",
    Version: version,
    Self: isSelf,
    ...structOf(host),
  };
}
