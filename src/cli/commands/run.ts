import { hostname } from "node:os";
import { type Address, FAMILIES } from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { programName } from "../../base/program.js";
import type { RunConfig } from "../../commandline/invocation.js";
import type { NetworkMode } from "../../commandline/network-mode.js";
import { formatPublish } from "../../commandline/publish-option.js";
import type { GuestConfig } from "../../config/guest-config.js";
import type { ResolvConf } from "../../dns/resolv-conf.js";
import { listenForApi, socketOfName } from "../../host/api-socket.js";
import { tapSettings } from "../../host/guest-config.js";
import { guestResolvConf } from "../../host/guest-resolv-conf.js";
import { outboundAddress } from "../../host/host-addresses.js";
import { startLogging } from "../../host/output/logging.js";
import { startPublishing } from "../../host/ports/publishing.js";
import { joinBroker } from "../../host/sandbox.js";
import { prepareGuest, SoleGuest } from "../../host/sole-guest.js";
import { superviseChild } from "../../netns/jobs.js";
import {
  effectiveIds,
  namespaceOf,
  release,
  type SpawnRequest,
  spawnHeld,
} from "../../netns/spawn.js";
import { openTap } from "../../netns/tap.js";
import type { AttachmentSpec } from "../../rpc/messages.js";
import { fail } from "../exit.js";
import { setEnvironment } from "./environment.js";
import type { MembershipSpec } from "./membership.js";

/**
 * `slipway run`: ends the process with the exit status of COMMAND, when what COMMAND sent has been
 * passed on.
 * @throws UserError when there is no network to run it in
 */
export async function run(options: RunConfig): Promise<void> {
  startLogging(options.log);
  setEnvironment(options.environment);
  const { mode } = options;
  if (mode.kind === "slirp") await runAlone(options);
  else if (mode.kind === "networks") await joinNetworks(options, mode.attachments);
  else await runElsewhere(options, mode);
}

/** Runs COMMAND in a network that is not Slipway's. */
async function runElsewhere(
  options: RunConfig,
  mode: Extract<NetworkMode, { kind: "host" | "none" | "container" }>,
): Promise<void> {
  const { command, hostname, inside } = options;
  const { runBeside, runIsolated, runOnHost } = await import("./network-modes.js");
  switch (mode.kind) {
    case "host":
      return runOnHost(command);
    case "none":
      return runIsolated({ command, ...(await idsOf(options)), hostname, inside });
    case "container":
      await runBeside(mode.target, command);
  }
}

/** The daemon serves the network; this process supervises the command. */
async function joinNetworks(
  options: RunConfig,
  attachments: readonly AttachmentSpec[],
): Promise<void> {
  const { network, name, publish, resolverOptions, command, inside } = options;
  const { servers = [], search = [], records = [] } = network.dns ?? {};
  const hosts = records.map((record) => `${record.name}=${record.address}`);
  const { hostLoopback } = network;
  const { runMember } = await import("./run-member.js");
  await runMember({
    command,
    ...(await idsOf(options)),
    inside,
    search,
    resolverOptions,
    publish: publish.ports.map(formatPublish),
    auto: autoOf(publish),
    join: {
      name,
      hostname: options.hostname,
      attachments: [...attachments],
      hosts,
      dns: servers.map(String),
      hostLoopback,
      sources: sourcesOf(network),
    },
  });
}

async function runAlone(options: RunConfig): Promise<void> {
  const { network, tap, inside, publish, resolverOptions, command } = options;
  const ids = await idsOf(options);
  joinBroker();
  const prepared = prepareGuest(options, () => options.hostname ?? hostname());
  const { config, host } = prepared;
  const servers = serversFor(config, host);
  const search = network.dns?.search ?? [];
  const resolvConf = guestResolvConf(host.text, servers, search, resolverOptions);
  // Before COMMAND's mounts are made: they hide the socket.
  const { name, apiSocket } = options;
  const api = await listenForApi(name === null ? apiSocket : socketOfName(name));
  const child = spawnHeld({
    command,
    ...ids,
    resolvConf,
    hostname: options.hostname,
    inside,
    apiSocket: api?.path ?? null,
  });
  const namespace = namespaceOf(child);
  const sole = new SoleGuest(prepared, {
    tap: openTap(namespace, tap, tapSettings(config)),
    pid: child.pid,
    api: { mostClients: options.maxApiClients, isOpenInside: inside.seesApi },
    publish: (guest) =>
      startPublishing(guest, namespace, publish, (line) =>
        process.stderr.write(`${programName()}: ${line}`),
      ),
    onGone: (why, isFault) => {
      const line = `${tap}: ${why}: the network is gone`;
      if (isFault) fail(new UserError(line));
      log.warn(line);
    },
  });
  superviseChild(child, (status) => {
    sole.endDrained(`${command[0]} has ended with status ${status}`, status);
  });
  sole.start(api, { hasChild: true, inUse: [] });
  log.info("%s is up for %s", tap, command[0]);
  release(child);
}

/** @throws UserError when COMMAND is to have the user's subordinate ids, and there are none */
async function idsOf({
  keepId,
  mapAuto,
}: RunConfig): Promise<Required<Pick<SpawnRequest, "keepId" | "moreIds">>> {
  if (!mapAuto) return { keepId, moreIds: null };
  const { subordinateIds } = await import("../../netns/subordinate-ids.js");
  return { keepId, moreIds: subordinateIds(effectiveIds(), keepId) };
}

/** The forwarder's address; without a forwarder the host's servers, except those on its loopback. */
function serversFor({ dns, plans }: GuestConfig, host: ResolvConf): readonly Address[] {
  if (dns !== null) return plans[0].nameServers;
  return host.servers.filter((server) => !server.isLoopback);
}

function autoOf({ auto }: RunConfig["publish"]): MembershipSpec["auto"] {
  return auto === null ? null : { exclude: auto.exclude.text, hosts: auto.hosts.map(String) };
}

/** @throws UserError for an address that the machine does not have */
function sourcesOf({ outbound }: RunConfig["network"]): string[] {
  return FAMILIES.flatMap((family) => {
    const wanted = outbound[family];
    return wanted === null ? [] : [`${outboundAddress(wanted.option, wanted.source, family)}`];
  });
}
