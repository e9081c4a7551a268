import { UserError } from "../base/errors.js";
import type { InspectRequest } from "../commandline/requests.js";
import { findByName, isPid } from "../config/names.js";
import type { NetworkReport } from "../rpc/reports.js";
import { forEachName } from "./each-name.js";
import { formatAll } from "./format.js";
import type { NameOfMember, Requests } from "./target.js";
import { type Struct, structOf } from "./template/value.js";
import { type ContainerReport, containerReport } from "./views/container.js";
import { networkFields } from "./views/networks.js";

/** What `inspect` shows. */
type Report = NetworkReport | ContainerReport;

/**
 * What `inspect` and `network inspect` print: members come before networks of the same name.
 * @throws UserError for the first name that is of nothing, after the others were shown
 */
export async function inspect(
  session: Requests,
  { names, type, output }: InspectRequest,
  nameOfMember: NameOfMember,
): Promise<string> {
  const members = type === "network" ? [] : await session.request("member.list", {});
  const find = async (name: string): Promise<Report> => {
    const member = findByName(members, withoutSlash(name));
    if (member !== undefined) return containerReport(member);
    if (type === "network" || !isPid(name)) return another(session, type, name);
    const id = await nameOfMember(name);
    // It may have joined meanwhile.
    const joined = findByName(await session.request("member.list", {}), id);
    return joined === undefined ? another(session, type, name) : containerReport(joined);
  };
  return forEachName(names, find, (reports) =>
    formatAll(reports, output, {
      view: fieldsOf,
      table: () => `${JSON.stringify(reports, null, 4)}\n`,
    }),
  );
}

/** Docker's names of containers begin with a slash, as `inspect` prints them. */
function withoutSlash(name: string): string {
  return name.replace(/^\//, "");
}

/** What is no member. */
async function another(
  session: Requests,
  type: InspectRequest["type"],
  name: string,
): Promise<NetworkReport> {
  if (type === "member")
    throw new UserError(`there is no member ${name}: slipway ps shows all members`);
  if (type === "any" && !isNetwork(await session.request("network.list", {}), name)) {
    throw new UserError(
      `there is no member or network ${name}: slipway ps, slipway network ls and slipway status show what there is`,
    );
  }
  return session.request("network.inspect", { name });
}

/** Whether a text means one of the networks. */
export function isNetwork(networks: readonly NetworkReport[], name: string): boolean {
  const named = networks.map(({ Id, Name }) => ({ id: Id, name: Name }));
  return findByName(named, name) !== undefined;
}

function fieldsOf(report: Report): Struct {
  return "IPAM" in report ? networkFields(report) : structOf(report);
}
