import { formatTable } from "../../base/table.js";
import type { ListOptions } from "../../commandline/requests.js";
import { shortId } from "../../config/names.js";
import type { MemberReport } from "../../rpc/reports.js";
import { formatAll } from "../format.js";
import type { Heads } from "../template/heads.js";
import { type Struct, structOf } from "../template/value.js";
import { labelFields } from "./labels.js";
import { momentText, spanText } from "./moments.js";

const HEADS: Heads = { ID: "CONTAINER ID", RunningFor: "CREATED" };

/** What `ps` prints. */
export function memberList(
  members: readonly MemberReport[],
  { output, quiet, noTrunc }: ListOptions,
): string {
  const shown = noTrunc ? (id: string) => id : shortId;
  if (quiet) return members.map(({ id }) => `${shown(id)}\n`).join("");
  return formatAll(members, output, {
    heads: HEADS,
    view: (member) => listed(member, shown),
    table: () =>
      formatTable(
        ["ID", "NAME", "PID", "NETWORKS", "ADDRESSES", "PORTS"],
        members.map(({ id, name, pid, networks, published }) => [
          shown(id),
          name,
          pid === null ? "" : String(pid),
          networks.map(({ network }) => network).join(", "),
          networks.flatMap(({ addresses }) => addresses.map(({ address }) => address)).join(", "),
          published.join(", "),
        ]),
      ),
  });
}

/** Docker's fields of `ps` that mean something here, and the report's, which begin with small letters. */
function listed(member: MemberReport, shown: (id: string) => string): Struct {
  const { id, name, since, networks, published, labels } = member;
  const age = spanText(Math.max(0, Date.now() / 1000 - since));
  return {
    ID: shown(id),
    Names: name,
    CreatedAt: momentText(since * 1000),
    RunningFor: `${age} ago`,
    State: "running",
    Status: `Up ${age}`,
    Ports: published.join(", "),
    Networks: networks.map(({ network }) => network).join(","),
    ...labelFields(labels),
    ...structOf(member),
  };
}
