import { writeSync } from "node:fs";
import { Stdio } from "../base/stdio.js";
import { formatTable } from "../base/table.js";
import type { DaemonRequest, OutputOptions } from "../commandline/requests.js";
import { shortId } from "../config/names.js";
import type { MemberReport, NetworkReport } from "../rpc/messages.js";
import type { Attachment, Connection, Requests } from "./connect.js";
import { formatAll } from "./format.js";

/**
 * Carries out a command that asks a running daemon.
 * @param attach attaches a namespace to a network
 * @returns what is printed
 * @throws UserError
 */
export async function carryOut(
  request: DaemonRequest,
  session: Requests,
  attach: (connection: Connection) => Promise<Attachment>,
): Promise<string> {
  switch (request.action) {
    case "create":
      return `${(await session.request("network.create", request.spec)).Id}\n`;
    case "list":
      return listText(await session.request("network.list", {}), request);
    case "inspect":
      return inspect(session, request.names, request.output);
    case "remove":
      return eachName(request.names, async (name) => {
        await session.request("network.remove", { name });
        return name;
      });
    case "prune":
      return (await session.request("network.prune", {})).map((name) => `${name}\n`).join("");
    case "connect":
      return connectText(await attach(request));
    case "disconnect":
      await session.request("member.disconnect", request);
      return "";
    case "members":
      return membersText(await session.request("member.list", {}), request.output);
    default:
      // start: the daemon runs by now. stop and status are answered by those who call.
      return "";
  }
}

/**
 * Does the same for each name.
 * @throws the first failure, after the other names had their turn
 */
async function eachName(
  names: readonly string[],
  act: (name: string) => Promise<string>,
): Promise<string> {
  let failure: unknown = null;
  let text = "";
  for (const name of names) {
    try {
      text += `${await act(name)}\n`;
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure === null) return text;
  writeSync(Stdio.Output, text);
  throw failure;
}

async function inspect(
  session: Requests,
  names: readonly string[],
  output: OutputOptions,
): Promise<string> {
  const reports: NetworkReport[] = [];
  for (const name of names) reports.push(await session.request("network.inspect", { name }));
  return formatAll(reports, output, () => `${JSON.stringify(reports, null, 4)}\n`);
}

function listText(
  networks: readonly NetworkReport[],
  { output, quiet }: Extract<DaemonRequest, { action: "list" }>,
): string {
  if (quiet) return networks.map(({ Id }) => `${shortId(Id)}\n`).join("");
  return formatAll(networks, output, () =>
    formatTable(
      ["NETWORK ID", "NAME", "DRIVER", "SCOPE", "SUBNETS", "MEMBERS"],
      networks.map(({ Id, Name, Driver, Scope, IPAM, Containers }) => [
        shortId(Id),
        Name,
        Driver,
        Scope,
        IPAM.Config.map(({ Subnet }) => Subnet).join(", "),
        String(Object.keys(Containers).length),
      ]),
    ),
  );
}

function membersText(members: readonly MemberReport[], output: OutputOptions): string {
  return formatAll(members, output, () =>
    formatTable(
      ["ID", "NAME", "PID", "NETWORKS", "ADDRESSES", "PORTS"],
      members.map(({ id, name, pid, networks, published }) => [
        shortId(id),
        name,
        pid === null ? "" : String(pid),
        networks.map(({ network }) => network).join(", "),
        networks.flatMap(({ addresses }) => addresses.map(({ address }) => address)).join(", "),
        published.join(", "),
      ]),
    ),
  );
}

function connectText({ member, network, ifname, addresses }: Attachment): string {
  return `${member} is on ${network} as ${ifname}: ${addresses.join(", ")}\n`;
}
