import { statSync } from "node:fs";
import type { AttachConfig } from "../../commandline/invocation.js";
import type { NamespaceTarget } from "../../commandline/target.js";
import type { Upstream } from "../../config/dns-config.js";
import type { GuestConfig } from "../../config/guest-config.js";
import { guestConfig, hostnameOf, RESOLV_CONF, tapSettings } from "../../host/guest-config.js";
import { announcement } from "../../host/output/announcement.js";
import { tapRequests } from "../../netns/tap.js";
import { socketPathOf } from "../../rpc/api-path.js";
import {
  LAUNCHER_VERSION,
  type LauncherRequest,
  planMessage,
  upMessage,
} from "../../rpc/launcher.js";
import { namespaceId, netnsOf } from "../../rpc/namespaces.js";
import { apiDirectory } from "../../rpc/xdg.js";

/** The request of a launcher, parsed and checked. */
export interface Planned {
  readonly options: AttachConfig & { readonly target: NamespaceTarget };
  readonly config: GuestConfig;
  /** Path of the API's socket. */
  readonly apiSocket: string | null;
}

/** The network namespace of this process, once it was needed. */
let ourNamespace: string | null = null;

/** What sets the launcher apart: its protocol, its network namespace or its resolv.conf; null: nothing. */
export function differenceOf({ version, namespace, resolvConf }: LauncherRequest): string | null {
  if (version !== LAUNCHER_VERSION) {
    return "the daemon is of another version: slipway daemon stop, and start it again";
  }
  ourNamespace ??= namespaceId(netnsOf("self"));
  if (namespace !== ourNamespace) return "the daemon is in another network namespace";
  if (resolvConf === identityOf(RESOLV_CONF)) return null;
  return `the daemon is in another mount namespace, with another ${RESOLV_CONF}`;
}

function identityOf(file: string): string {
  const { dev = 0, ino = 0 } = statSync(file, { throwIfNoEntry: false }) ?? {};
  return `${dev}:${ino}`;
}

/**
 * @param launcher its pid
 * @returns the option for which only a process of its own can serve the guest
 * @throws UserError when the command line is wrong
 */
export function planOf(
  options: AttachConfig,
  launcher: string,
  upstream: Upstream,
): Planned | string {
  const { target } = options;
  if (target.kind === "tapfd") return "--netns-type=tapfd";
  if (target.kind === "bess") return "--target-type=bess";
  const option = unsharedOption(options);
  if (option !== null) return option;
  return {
    options: { ...options, target },
    config: guestConfig(options.network, upstream, hostnameOf(target.pid)),
    apiSocket: apiSocketOf(options, launcher),
  };
}

export function planMessageOf({ options, apiSocket }: Planned): Uint8Array {
  const { readyFd, exitFd, tap, target } = options;
  const { netns, userns, pid } = target;
  return planMessage({ readyFd, exitFd, pid, netns, userns, tap, apiSocket });
}

/** @param report lines about the ports that Slipway chose */
export function upMessageOf(
  { options, config }: Planned,
  ifindex: number,
  report: string,
): Uint8Array {
  const { configure, mac, tap } = options;
  const settings = configure ? tapRequests(ifindex, tap, tapSettings(config, mac)) : [];
  return upMessage(settings, announcement(options, config) + report);
}

/** An option that writes a file or to stderr, needs the namespace to be entered later, or what the sandbox forbids. */
function unsharedOption(options: AttachConfig): string | null {
  const { log: logged, pcap, stats, sandbox, exitWithNetns, publish, network } = options;
  if (pcap !== null) return "--pcap";
  if (stats) return "--stats";
  if (logged.file !== null) return "--log-file";
  if (logged.level !== null) return "--log-level";
  if (logged.format !== "text") return "--log-format";
  if (!sandbox) return "--no-sandbox";
  if (exitWithNetns) return "--exit-with-netns";
  if (network.outbound[4] !== null) return network.outbound[4].option;
  if (network.outbound[6] !== null) return network.outbound[6].option;
  if (publish.auto !== null) return "--publish-auto";
  if (publish.toLoopback) return "--publish-to-loopback";
  return null;
}

function apiSocketOf({ apiSocket }: AttachConfig, pid: string): string | null {
  if (typeof apiSocket === "object") return apiSocket.path;
  const directory = apiSocket === "own" ? apiDirectory() : null;
  return directory === null ? null : socketPathOf(directory, pid);
}
