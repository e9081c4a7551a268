import { UserError } from "../base/errors.js";
import type { InspectRequest } from "../commandline/requests.js";
import { findByName } from "../config/names.js";
import type { NetworkReport } from "../rpc/messages.js";
import { forEachName } from "./each-name.js";
import { formatAll } from "./format.js";
import type { Requests } from "./target.js";
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
): Promise<string> {
  const members = type === "network" ? [] : await session.request("member.list", {});
  const find = async (name: string): Promise<Report> => {
    const member = findByName(members, name);
    return member === undefined ? another(session, type, name) : containerReport(member);
  };
  return forEachName(names, find, (reports) =>
    formatAll(reports, output, {
      view: fieldsOf,
      table: () => `${JSON.stringify(reports, null, 4)}\n`,
    }),
  );
}

/** What is no member. */
async function another(
  session: Requests,
  type: InspectRequest["type"],
  name: string,
): Promise<NetworkReport> {
  if (type === "member")
    throw new UserError(`there is no member ${name}: slipway ps shows all members`);
  if (type === "any" && !(await isNetwork(session, name))) {
    throw new UserError(
      `there is no member or network ${name}: slipway ps, slipway network ls and slipway status show what there is`,
    );
  }
  return session.request("network.inspect", { name });
}

async function isNetwork(session: Requests, name: string): Promise<boolean> {
  const networks = await session.request("network.list", {});
  const named = networks.map(({ Id, Name }) => ({ id: Id, name: Name }));
  return findByName(named, name) !== undefined;
}

function fieldsOf(report: Report): Struct {
  return "IPAM" in report ? networkFields(report) : structOf(report);
}
