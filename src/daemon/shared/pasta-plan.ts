import { monotonicMs } from "../../base/clock.js";
import { parseCommandLine } from "../../commandline/command-line.js";
import type { Invocation } from "../../commandline/invocation.js";
import { isProgramOfPasta, parsePasta } from "../../commandline/pasta/command-line.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import type { PastaInvocation } from "../../commandline/pasta/programs.js";
import type { NamespaceTarget } from "../../commandline/target.js";
import type { AddressPlan } from "../../config/address-plan.js";
import type { Upstream } from "../../config/dns-config.js";
import { copyHost } from "../../host/copy/copy-host.js";
import { followHost } from "../../host/copy/following.js";
import type { HostWatch } from "../../host/copy/host-watch.js";
import { startForwarding } from "../../host/ports/forwarding.js";
import type { Resident } from "../../netns/agent.js";
import { processOf } from "../../netns/netns-file.js";
import { tapRequests } from "../../netns/tap.js";
import type { LauncherRequest } from "../../rpc/launcher.js";
import { Errno } from "../../sys/constants.js";
import type { Planned } from "./plan.js";

/** What a launcher's command line asks for, by whichever name it was called. @throws UserError when it is wrong */
export function invocationOf({ name, args }: LauncherRequest): Invocation | PastaInvocation {
  return isProgramOfPasta(name) ? parsePasta(name, args) : parseCommandLine(name, args);
}

/**
 * What a command line of pasta means here. Pid file, background and the end of the namespace are the launcher's.
 * @returns the option for which only a process of its own can serve the guest
 * @throws UserError when options contradict each other, or this host
 */
export function pastaPlanOf(
  options: PastaConfig,
  watch: HostWatch,
  upstream: Upstream,
): Planned | string {
  const { target } = options;
  if (target.kind !== "namespace") return "such a target";
  const option = unsharedOption(options);
  if (option !== null) return option;
  const copy = copyHost(options, watch.read(), upstream);
  const { config, ifname: tap, settings } = copy;
  const passed = passedAgent();
  let unfollow = (): void => undefined;
  return {
    target: { ...target, pid: ownerOf(target, options) },
    tap,
    config,
    readyFd: null,
    exitFd: null,
    apiSocket: null,
    mostApiClients: 0,
    requests: (ifindex) => tapRequests(ifindex, tap, settings),
    announcement: "",
    publish: hasPorts(options)
      ? (guest) => {
          startForwarding(guest, passed.resident, options);
        }
      : null,
    useAgent: (resident, guest) => {
      passed.use(resident);
      if (!options.addressing.follows) return;
      const replan = (plans: readonly AddressPlan[]) => guest.replan(plans, monotonicMs());
      unfollow = followHost({ watch, options, host: upstream, copy, resident, replan });
    },
    end: () => unfollow(),
  };
}

/** The process with which the network ends, if the namespace is named by one. */
function ownerOf({ pid, netns }: NamespaceTarget, options: PastaConfig): number | null {
  return options.staysWithoutNetns ? null : (pid ?? processOf(netns));
}

function hasPorts({ ports: { inbound } }: PastaConfig): boolean {
  return inbound.tcp.length + inbound.udp.length > 0;
}

/** An option that writes a file, needs another user, or sockets inside before the launcher has passed its agent. */
function unsharedOption(options: PastaConfig): string | null {
  const { pcap, log, runAs, controlSocket, ports, outbound } = options;
  if (pcap !== null) return "--pcap";
  if (log.file !== null) return "--log-file";
  if (log.level === "debug") return "--debug";
  if (runAs !== null) return "--runas";
  if (controlSocket !== null) return "--conf-path";
  if (outbound[4] !== null || outbound[6] !== null) return "--outbound and --outbound-if4";
  const { inbound, outbound: hostPorts } = ports;
  if (hostPorts.tcp.length + hostPorts.udp.length > 0) return "--tcp-ns and --udp-ns";
  const listed = [...inbound.tcp, ...inbound.udp].every(({ which }) => which === "every");
  return listed ? null : "--tcp-ports and --udp-ports but for listed ports";
}

/** The agent that a launcher passes. */
interface PassedAgent {
  /** Until the agent has come, which is when the network is up, there are no sockets inside. */
  readonly resident: Resident;
  use(agent: Resident): void;
}

function passedAgent(): PassedAgent {
  let agent: Resident | null = null;
  return {
    resident: {
      socket: (...what) => agent?.socket(...what) ?? -Errno.EPIPE,
      boundSocket: (...what) => agent?.boundSocket(...what) ?? -Errno.EPIPE,
      indexOf: (name) => agent?.indexOf(name) ?? -Errno.EPIPE,
      set: (request) => agent?.set(request) ?? -Errno.EPIPE,
      // The agent ends with the connection of its launcher.
      close: () => undefined,
    },
    use: (passed) => {
      agent = passed;
    },
  };
}
