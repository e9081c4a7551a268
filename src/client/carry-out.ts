import type { PruneFilter } from "../commandline/filters.js";
import type { DaemonRequest, ListRequest, MembersRequest } from "../commandline/requests.js";
import type { PeerSpec } from "../rpc/messages.js";
import type { Disconnected } from "../rpc/reports.js";
import type { Attachment, Connection } from "./connect.js";
import { forEachName } from "./each-name.js";
import { memberPasses, networkPasses } from "./filters.js";
import { inspect, isNetwork } from "./inspect.js";
import type { NameOfMember, Requests } from "./target.js";
import { hostList } from "./views/hosts.js";
import { memberList } from "./views/members.js";
import { networkList } from "./views/networks.js";
import { peerList } from "./views/peers.js";

/** What depends on where a command is carried out. */
export interface Surroundings {
  /** Attaches a namespace to a network. */
  connect(connection: Connection): Promise<Attachment>;
  readonly nameOfMember: NameOfMember;
}

/**
 * Carries out a command that asks a running daemon.
 * @returns what is printed
 * @throws UserError
 */
export async function carryOut(
  request: DaemonRequest,
  session: Requests,
  { connect, nameOfMember }: Surroundings,
): Promise<string> {
  switch (request.action) {
    case "create":
      return `${(await session.request("network.create", request.spec)).Id}\n`;
    case "list":
      return networks(session, request);
    case "inspect":
      return inspect(session, request, nameOfMember);
    case "remove":
      return remove(session, request);
    case "prune":
      return prune(session, request.filters);
    case "connect":
      return connectText(await connect(request));
    case "disconnect": {
      const { network } = request;
      const member = await nameOfMember(request.member);
      return disconnectText(
        network,
        await session.request("member.disconnect", { network, member }),
      );
    }
    case "members":
      return members(session, request);
    case "hosts":
      return hostList(await session.request("host.list", {}), request);
    case "add peer":
      return addPeer(session, request.spec);
    case "peers":
      return peerList(await session.request("peer.list", { network: request.network }), request);
    case "remove peers":
      return removePeers(session, request);
    default:
      // start: the daemon runs by now. stop and status are answered by those who call.
      return "";
  }
}

async function remove(
  session: Requests,
  { names, force }: Extract<DaemonRequest, { action: "remove" }>,
): Promise<string> {
  const networks = force ? await session.request("network.list", {}) : [];
  const wanted = force ? names.filter((name) => isNetwork(networks, name)) : names;
  return forEachName(
    wanted,
    async (name) => {
      await session.request("network.remove", { name });
      return name;
    },
    linesOf,
  );
}

/** The file for wg-quick(8), or the id. */
async function addPeer(session: Requests, spec: PeerSpec): Promise<string> {
  const { peer, configuration } = await session.request("peer.add", spec);
  return configuration ?? `${peer.id}\n`;
}

async function removePeers(
  session: Requests,
  { network, names }: Extract<DaemonRequest, { action: "remove peers" }>,
): Promise<string> {
  return forEachName(
    names,
    async (name) => {
      await session.request("peer.remove", { network, name });
      return name;
    },
    linesOf,
  );
}

async function prune(session: Requests, filters: readonly PruneFilter[]): Promise<string> {
  const removed = await session.request("network.prune", {
    only: filters.length === 0 ? null : await idsOf(session, filters),
  });
  return linesOf(removed);
}

function linesOf(names: readonly string[]): string {
  return names.map((name) => `${name}\n`).join("");
}

async function idsOf(session: Requests, filters: readonly PruneFilter[]): Promise<string[]> {
  const networks = await session.request("network.list", {});
  const passing = networks.filter((network) => networkPasses(filters, network, Date.now()));
  return passing.map(({ Id }) => Id);
}

async function networks(session: Requests, request: ListRequest): Promise<string> {
  const all = await session.request("network.list", {});
  const passing = all.filter((network) => networkPasses(request.filters, network, Date.now()));
  return networkList(
    passing.toSorted((a, b) => (a.Name < b.Name ? -1 : 1)),
    request,
  );
}

async function members(session: Requests, request: MembersRequest): Promise<string> {
  const all = await session.request("member.list", {});
  const passing = all.filter((member) => memberPasses(request.filters, member));
  return memberList(request.last === null ? passing : lastOf(passing, request.last), request);
}

/** The newest first, as in docker. */
function lastOf<T>(all: readonly T[], count: number): readonly T[] {
  return all.toReversed().slice(0, count);
}

function connectText({ member, network, ifname, addresses }: Attachment): string {
  return `${member} is on ${network} as ${ifname}: ${addresses.join(", ")}\n`;
}

function disconnectText(network: string, { kept }: Disconnected): string {
  if (kept === null) return "";
  const { member, ifname, pid } = kept;
  return `${member} has left ${network}, but has ${ifname} until its slipway run continues, which is stopped: kill -CONT ${pid}\n`;
}
