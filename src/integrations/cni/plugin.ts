import { errnoOf, UserError } from "../../base/errors.js";
import { join } from "../../client/connect.js";
import { withRunningDaemon } from "../../client/running-daemon.js";
import type { Session } from "../../client/session.js";
import { FULL_ID } from "../../config/constants.js";
import { hasInterface } from "../../netns/agent.js";
import { namespaceRef } from "../../rpc/namespaces.js";
import type { AttachmentReport, MemberReport } from "../../rpc/reports.js";
import { CniFailure, Code } from "./failure.js";
import {
  type Attachment,
  attachmentSpecOf,
  type Configured,
  invalidConfig,
  namesOf,
  type PluginRequest,
  publishOf,
  VERSIONS,
} from "./request.js";
import { resultOf } from "./result.js";

/**
 * Carries out a verb.
 * @returns the object to print; null: none
 * @throws CniFailure or UserError
 */
export async function carryOut(request: PluginRequest): Promise<object | null> {
  if (request.verb === "VERSION") {
    const cniVersion = VERSIONS.find((each) => each === request.version) ?? VERSIONS.at(-1);
    return { cniVersion, supportedVersions: VERSIONS };
  }
  return withRunningDaemon((session) =>
    session === null ? withoutDaemon(request.verb) : ask(request, session),
  );
}

/** The interfaces were removed when the daemon ended, so DEL and GC have nothing left to do. */
function withoutDaemon(verb: PluginRequest["verb"]): null {
  if (verb === "DEL" || verb === "GC") return null;
  throw new CniFailure(
    verb === "STATUS" ? Code.NotAvailableAndLimited : Code.TryAgainLater,
    "the slipway daemon is not running",
    "start it: slipway daemon start, or its systemd unit",
  );
}

async function ask(
  request: Exclude<PluginRequest, { readonly verb: "VERSION" }>,
  session: Session,
): Promise<object | null> {
  switch (request.verb) {
    case "ADD":
      return add(request, session);
    case "DEL":
      await remove(
        session,
        request,
        (id, ifname) => ifname === request.ifname && id === request.containerId,
      );
      return null;
    case "CHECK":
      await check(request, session);
      return null;
    case "GC": {
      const valid = new Set(request.valid.map(keyOf));
      await remove(session, request, (containerId, ifname) => {
        return !valid.has(keyOf({ containerId, ifname }));
      });
      return null;
    }
    case "STATUS":
      await session.request("network.inspect", { name: request.network }).catch((error) => {
        throw error instanceof UserError ? new CniFailure(Code.NotAvailable, error.message) : error;
      });
      return null;
  }
}

async function add(
  request: Extract<PluginRequest, { verb: "ADD" | "CHECK" }>,
  session: Session,
): Promise<object> {
  const { conf, containerId, ifname, netns } = request;
  const namespace = namespaceOf(netns);
  const taken = (await session.request("member.list", {})).map(({ name }) => name.toLowerCase());
  const names = namesOf(request, request);
  const { id, given } = await join(session, {
    namespace,
    attachments: [attachmentSpecOf(request, ifname)],
    id: FULL_ID.test(containerId) ? containerId : null,
    name: names.find((each) => !taken.includes(each.toLowerCase())) ?? null,
    dns: conf.runtimeConfig.dns?.servers ?? [],
    labels: { [labelOf(request, ifname)]: containerId },
  });
  const ports = (conf.runtimeConfig.portMappings ?? []).map(publishOf);
  try {
    if (ports.length > 0) await session.request("member.publish", { member: id, ports });
  } catch (error) {
    const { network } = given;
    await session.request("member.disconnect", { network, member: id }).catch(() => undefined);
    throw error;
  }
  return resultOf(request, { name: ifname, sandbox: netns }, given);
}

/** Disconnects those attachments of this configuration that `isUnwanted` selects. */
async function remove(
  session: Session,
  request: Configured,
  isUnwanted: (containerId: string, ifname: string) => boolean,
): Promise<void> {
  for (const { member, attachment, containerId } of await attachments(session, request)) {
    if (!isUnwanted(containerId, attachment.ifname ?? "")) continue;
    const { network } = attachment;
    try {
      await session.request("member.disconnect", { network, member: member.id });
    } catch (error) {
      const left = await attachments(session, request);
      // The container's process may have ended meanwhile.
      if (left.some((each) => each.member.id === member.id)) throw error;
    }
  }
}

async function check(
  request: Extract<PluginRequest, { verb: "ADD" | "CHECK" }>,
  session: Session,
): Promise<void> {
  const { conf, containerId, ifname, netns, network } = request;
  const { prevResult } = conf;
  if (prevResult === undefined || prevResult === null) {
    throw invalidConfig("prevResult is missing");
  }
  const found = (await attachments(session, request)).find(
    (each) => each.containerId === containerId && each.attachment.ifname === ifname,
  );
  if (found === undefined)
    throw mismatch(`${containerId} is not attached to ${network} as ${ifname}`);
  const index = prevResult.interfaces.findIndex((each) => each.name === ifname);
  const wanted = prevResult.ips.filter((each) => each.interface === index);
  const given = found.attachment.addresses.map(({ address }) => address);
  for (const { address } of wanted) {
    const [bare = ""] = address.split("/");
    if (!given.includes(bare)) throw mismatch(`${ifname} has ${given.join(", ")}, not ${bare}`);
  }
  if (!hasInterface(namespaceOf(netns), ifname))
    throw mismatch(`there is no interface ${ifname} in ${netns}`);
}

interface Attached {
  readonly member: MemberReport;
  readonly attachment: AttachmentReport;
  readonly containerId: string;
}

/** The attachments that ADD has made for this configuration. */
async function attachments(session: Session, request: Configured): Promise<readonly Attached[]> {
  const members = await session.request("member.list", {});
  const labelled = members.flatMap((member) =>
    member.networks.flatMap((attachment) => {
      const containerId = member.labels[labelOf(request, attachment.ifname ?? "")];
      return containerId === undefined ? [] : [{ member, attachment, containerId }];
    }),
  );
  const isNamed = labelled.every(({ attachment }) => attachment.network === request.network);
  const name = isNamed ? request.network : await nameOf(session, request.network);
  return labelled.filter(({ attachment }) => attachment.network === name);
}

/** The name of a network that a configuration gives by name or by id. */
async function nameOf(session: Session, network: string): Promise<string> {
  const networks = await session.request("network.list", {});
  const named = networks.find(({ Name }) => Name === network);
  return (named ?? networks.find(({ Id }) => Id.startsWith(network)))?.Name ?? network;
}

/** The label of a member whose value is the container's id. */
function labelOf({ name }: Configured, ifname: string): string {
  return `io.slipway.cni/${name}/${ifname}`;
}

function keyOf({ containerId, ifname }: Attachment): string {
  return `${containerId} ${ifname}`;
}

function namespaceOf(netns: string) {
  try {
    return namespaceRef(netns, null, null);
  } catch (error) {
    throw new CniFailure(
      Code.InvalidEnvironment,
      `CNI_NETNS: cannot open ${netns} (${errnoOf(error)})`,
    );
  }
}

function mismatch(what: string): CniFailure {
  return new CniFailure(Code.Mismatch, what);
}
