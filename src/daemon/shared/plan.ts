import { statSync } from "node:fs";
import type { AttachConfig } from "../../commandline/invocation.js";
import type { NamespaceTarget } from "../../commandline/target.js";
import type { Upstream } from "../../config/dns-config.js";
import type { GuestConfig } from "../../config/guest-config.js";
import type { Guest } from "../../guest/guest.js";
import { guestConfig, hostnameOf, RESOLV_CONF, tapSettings } from "../../host/guest-config.js";
import { announcement } from "../../host/output/announcement.js";
import { publishPorts } from "../../host/ports/publishing.js";
import type { Resident } from "../../netns/agent.js";
import { type TapRequest, tapRequests } from "../../netns/tap.js";
import { socketPathOf } from "../../rpc/api-path.js";
import {
  LAUNCHER_VERSION,
  type LauncherRequest,
  planMessage,
  upMessage,
} from "../../rpc/launcher.js";
import { namespaceId, netnsOf } from "../../rpc/namespaces.js";
import { apiDirectory } from "../../rpc/xdg.js";

/** What a launcher's command line means here, parsed and checked. */
export interface Planned {
  readonly target: NamespaceTarget;
  /** Name of the TAP in the namespace. */
  readonly tap: string;
  readonly config: GuestConfig;
  readonly readyFd: number | null;
  readonly exitFd: number | null;
  /** Path of the API's socket. */
  readonly apiSocket: string | null;
  readonly mostApiClients: number;
  /** Which settings the launcher makes. */
  requests(ifindex: number): readonly TapRequest[];
  /** What the launcher prints on stdout when the network is up. */
  readonly announcement: string;
  /**
   * Publishes the ports that the guest begins with, with a line for each that Slipway chooses; null: there are none.
   * @throws UserError
   */
  readonly publish: ((guest: Guest, report: (line: string) => void) => void) | null;
  /** Takes the agent that its launcher passes when the guest is served; null: it passes none. */
  readonly useAgent: ((resident: Resident, guest: Guest) => void) | null;
  /** To be called when the guest is closed; null: for nothing. */
  readonly end: (() => void) | null;
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
  const { target, tap, configure, mac, publish, readyFd, exitFd, maxApiClients } = options;
  if (target.kind === "tapfd") return "--netns-type=tapfd";
  if (target.kind === "bess") return "--target-type=bess";
  const option = unsharedOption(options);
  if (option !== null) return option;
  const config = guestConfig(options.network, upstream, hostnameOf(target.pid));
  return {
    target,
    tap,
    config,
    readyFd,
    exitFd,
    apiSocket: apiSocketOf(options, launcher),
    mostApiClients: maxApiClients,
    requests: (ifindex) => (configure ? tapRequests(ifindex, tap, tapSettings(config, mac)) : []),
    announcement: announcement(options, config),
    publish:
      publish.ports.length === 0
        ? null
        : (guest, report) => publishPorts(guest, publish.ports, false, report),
    useAgent: null,
    end: null,
  };
}

export function planMessageOf({ target, tap, readyFd, exitFd, apiSocket }: Planned): Uint8Array {
  const { netns, userns, pid } = target;
  return planMessage({ readyFd, exitFd, pid, netns, userns, tap, apiSocket });
}

/** @param report lines about the ports that Slipway chose */
export function upMessageOf(planned: Planned, ifindex: number, report: string): Uint8Array {
  return upMessage(planned.requests(ifindex), planned.announcement + report);
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
