import { print } from "../base/stdio.js";
import type { DaemonRequest, OutputFormat } from "../commandline/requests.js";
import { shortId } from "../config/names.js";
import type { NetworkReport } from "../rpc/messages.js";
import type { Attachment, Connection, Requests } from "./connect.js";
import { memberList } from "./views/members.js";
import { networkDetails, networkList } from "./views/networks.js";

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
      return list(await session.request("network.list", {}), request);
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
      return memberList(await session.request("member.list", {}), request.output);
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
  print(text);
  throw failure;
}

async function inspect(
  session: Requests,
  names: readonly string[],
  output: OutputFormat,
): Promise<string> {
  const reports: NetworkReport[] = [];
  for (const name of names) reports.push(await session.request("network.inspect", { name }));
  return networkDetails(reports, output);
}

function list(
  networks: readonly NetworkReport[],
  { output, quiet }: Extract<DaemonRequest, { action: "list" }>,
): string {
  if (quiet) return networks.map(({ Id }) => `${shortId(Id)}\n`).join("");
  return networkList(networks, output);
}

function connectText({ member, network, ifname, addresses }: Attachment): string {
  return `${member} is on ${network} as ${ifname}: ${addresses.join(", ")}\n`;
}
