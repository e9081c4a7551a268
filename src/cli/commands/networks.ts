import { writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { UserError } from "../../base/errors.js";
import { type Attachment, type Connection, connect, type Requests } from "../../client/connect.js";
import { Session } from "../../client/session.js";
import { openOrStart } from "../../client/start.js";
import { formatAll, tableOf } from "../../commandline/format.js";
import type { DaemonRequest, OutputOptions } from "../../commandline/requests.js";
import { SHORT_ID_LENGTH, Stdio } from "../../config/constants.js";
import { Loop } from "../../loop/loop.js";
import { type DaemonPaths, daemonPaths } from "../../rpc/daemon-paths.js";
import type { MemberReport, NetworkReport } from "../../rpc/messages.js";

/** How often it is looked whether the daemon has ended, and for how long, in ms. */
const STOP_LOOK = 20;
const STOP_LIMIT = 5_000;

/** `slipway network`, `ps` and `daemon start|stop|status`. @throws UserError */
export async function askDaemon(request: DaemonRequest): Promise<void> {
  const loop = new Loop();
  loop.start();
  try {
    const text = await answer(request, loop, daemonPaths());
    if (text !== "") writeSync(Stdio.Output, text);
  } finally {
    loop.stop();
  }
}

async function answer(request: DaemonRequest, loop: Loop, paths: DaemonPaths): Promise<string> {
  if (request.action === "stop") return stop(loop, paths);
  if (request.action === "status") return status(loop, paths, request.output);
  const wantsContainers = request.action === "start" && request.servesContainers;
  const options = wantsContainers ? ["--serve-containers"] : [];
  const session = await openOrStart(paths, loop, () => undefined, options);
  try {
    if (wantsContainers) await checkServesContainers(session);
    return await carryOut(request, session, (connection) => connect(session, connection));
  } finally {
    session.close();
  }
}

/** One that ran already may have been started otherwise. @throws UserError */
async function checkServesContainers(session: Session): Promise<void> {
  if ((await session.request("status", {})).servesContainers) return;
  throw new UserError(
    "the daemon runs already, without --serve-containers: slipway daemon stop, and start it again",
  );
}

/**
 * Carries out what is asked of a daemon that runs.
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
      // It has been started, and the rest was answered before.
      return "";
  }
}

/** All that can be done is done; the first that cannot is told. */
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
  if (quiet) return networks.map(({ Id }) => `${Id.slice(0, SHORT_ID_LENGTH)}\n`).join("");
  return formatAll(networks, output, () =>
    tableOf(
      ["NETWORK ID", "NAME", "DRIVER", "SCOPE", "SUBNETS", "MEMBERS"],
      networks.map(({ Id, Name, Driver, Scope, IPAM, Containers }) => [
        ...[Id.slice(0, SHORT_ID_LENGTH), Name, Driver, Scope],
        IPAM.Config.map(({ Subnet }) => Subnet).join(", "),
        String(Object.keys(Containers).length),
      ]),
    ),
  );
}

function membersText(members: readonly MemberReport[], output: OutputOptions): string {
  return formatAll(members, output, () =>
    tableOf(
      ["ID", "NAME", "PID", "NETWORKS", "ADDRESSES", "PORTS"],
      members.map(({ id, name, pid, networks, published }) => [
        ...[id.slice(0, SHORT_ID_LENGTH), name, pid === null ? "" : String(pid)],
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

async function stop(loop: Loop, paths: DaemonPaths): Promise<string> {
  let hasEnded = false;
  const session = Session.open(paths.socket, loop, () => {
    hasEnded = true;
  });
  if (session === null) return "";
  await session.request("stop", {});
  for (let waited = 0; !hasEnded && waited < STOP_LIMIT; waited += STOP_LOOK)
    await delay(STOP_LOOK);
  session.close();
  if (hasEnded) return "";
  throw new UserError("the daemon does not end: see its log, or kill it");
}

async function status(loop: Loop, paths: DaemonPaths, output: OutputOptions): Promise<string> {
  const session = Session.open(paths.socket, loop, () => undefined);
  if (session === null) throw new UserError("the daemon does not run: slipway daemon start");
  const report = await session.request("status", {});
  session.close();
  const { pid, version, networks, members, warnings } = report;
  return formatAll([report], output, () =>
    [
      `the daemon runs: process ${pid}, version ${version}; ${networks} networks, ${members} members`,
      ...warnings.map((warning) => `warning: ${warning}`),
      "",
    ].join("\n"),
  );
}
