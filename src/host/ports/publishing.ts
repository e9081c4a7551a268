import {
  type Address,
  formatEndpoint,
  LOOPBACK,
  otherFamily,
  UNSPECIFIED,
} from "../../base/address.js";
import { monotonicMs } from "../../base/clock.js";
import { log } from "../../base/log.js";
import type { PublishOption, PublishOptions } from "../../commandline/publish-option.js";
import type { Guest } from "../../guest/guest.js";
import type { PublishedPort } from "../../nat/published-port.js";
import { openResident, type Resident } from "../../netns/agent.js";
import type { Namespace } from "../../netns/namespace.js";
import { AutoPublish, type AutoPublishOptions } from "../../publish/auto-publish.js";
import type { MakeSocket } from "../../publish/loopback/relay.js";
import { Errno } from "../../sys/constants.js";
import { failureText, publishFailure } from "./publish-failure.js";
import { openListenerSocket, scanListeners } from "./scanning.js";

/** Where a port is published when no host address is named: at one port in both families. */
const ANY: readonly Address[] = [UNSPECIFIED[4], UNSPECIFIED[6]];
/** How many free ports are tried until one is free in both families. */
const RANDOM_ATTEMPTS = 16;

/**
 * Publishes ports of a guest. With `auto`, publishes what it listens on, too, from then on.
 * @param namespace the guest's
 * @param report gets a line for each port that Slipway chooses, now and later
 * @throws UserError for the first that cannot be published
 */
export function startPublishing(
  guest: Guest,
  namespace: Namespace,
  options: PublishOptions,
  report: (line: string) => void,
): void {
  const { ports, toLoopback } = options;
  if (toLoopback) guest.reachLoopback(socketsOf(openResident(namespace)));
  publishPorts(guest, ports, toLoopback, report);
  if (options.auto === null) return;
  const what = { ...options.auto, toLoopback };
  publishListening(guest, openListenerSocket(namespace), what, report);
}

/** Which of the ports that a guest listens on are published, and where. */
type ListeningPorts = Pick<AutoPublishOptions, "exclude" | "hosts" | "toLoopback">;

/**
 * Publishes what a guest listens on, for as long as it does.
 * @param socket of openListenerSocket; closed when the guest is
 * @param report gets a line for each port, now and later
 */
export function publishListening(
  guest: Guest,
  socket: number,
  what: ListeningPorts,
  report: (line: string) => void,
): void {
  const auto = autoPublish(guest, what, report);
  scanListeners(guest, socket, (found) => auto.update(found, monotonicMs()));
}

/** Makes sockets in the namespace. Warns once when the process that makes them has ended. */
function socketsOf(resident: Resident): MakeSocket {
  let isTold = false;
  return (domain, type, protocol) => {
    const fd = resident.socket(domain, type, protocol);
    if (fd === -Errno.EPIPE && !isTold) {
      isTold = true;
      log.warn("--publish-to-loopback: our process in the namespace is gone: clients are refused");
    }
    return fd;
  };
}

function autoPublish(
  guest: Guest,
  what: ListeningPorts,
  report: (line: string) => void,
): AutoPublish {
  return new AutoPublish({
    ...what,
    get plans() {
      return guest.config.plans;
    },
    forwards: guest.forwards,
    onPublished: (port) => report(`published ${lineOf(port)}`),
    onEnded: (port) => report(`no longer published ${lineOf(port)}`),
    onFailure: ({ host, hostPort }, errno) => log.warn(failureText(host, hostPort, errno)),
  });
}

/**
 * Publishes ports of a guest: all, or none.
 * @param report gets a line for each port that Slipway chooses
 * @throws UserError for the first that cannot be published; what was published before the call stays
 */
export function publishPorts(
  guest: Guest,
  ports: readonly PublishOption[],
  toLoopback: boolean,
  report: (line: string) => void,
): void {
  const before = new Set(guest.forwards.rules.map(({ id }) => id));
  try {
    for (const port of ports) {
      for (let index = 0; index < port.count; index += 1) {
        for (const line of publishOne(guest, port, index, toLoopback)) report(line);
      }
    }
  } catch (error) {
    for (const { id } of guest.forwards.rules) if (!before.has(id)) guest.forwards.remove(id);
    throw error;
  }
}

function publishOne(
  guest: Guest,
  option: PublishOption,
  index: number,
  toLoopback: boolean,
): readonly string[] {
  const hosts = option.host === null ? anyAddresses(guest) : [option.host];
  const guestPort = option.guestPort + index;
  const { protocol } = option;
  if (option.hostPort > 0) {
    addAll(guest, { protocol, guestPort, hostPort: option.hostPort + index, toLoopback }, hosts);
    return [];
  }
  const hostPort = addAtRandom(guest, { protocol, guestPort, hostPort: 0, toLoopback }, hosts);
  return hosts.map((host) => `published ${lineOf({ host, hostPort, guestPort, protocol })}`);
}

function lineOf({ host, hostPort, guestPort, protocol }: Omit<PublishedPort, "guest">): string {
  return `${formatEndpoint(host, hostPort)} → ${guestPort}/${protocol}\n`;
}

interface Ports extends Pick<PublishedPort, "protocol" | "guestPort" | "hostPort"> {
  readonly toLoopback: boolean;
}

function anyAddresses({ config }: Guest): readonly Address[] {
  return ANY.filter(({ family }) =>
    config.plans.some(({ prefix }) => prefix.address.family === family),
  );
}

function addAll(guest: Guest, ports: Ports, hosts: readonly Address[]): void {
  for (const host of hosts) {
    const result = guest.forwards.add(portOf(guest, ports, host));
    if (result < 0) throw publishFailure(host, ports.hostPort, -result);
  }
}

function addAtRandom(guest: Guest, ports: Ports, hosts: readonly Address[]): number {
  for (let attempt = 1; ; attempt += 1) {
    const [first, ...others] = hosts;
    const id = guest.forwards.add(portOf(guest, ports, first));
    if (id < 0) throw publishFailure(first, 0, -id);
    const { hostPort } = guest.forwards.rules.find((rule) => rule.id === id) ?? ports;
    try {
      addAll(guest, { ...ports, hostPort }, others);
      return hostPort;
    } catch (error) {
      if (attempt === RANDOM_ATTEMPTS) throw error;
      guest.forwards.remove(id);
    }
  }
}

function portOf(guest: Guest, { toLoopback, ...ports }: Ports, host: Address): PublishedPort {
  const own = guest.addressFor(host.family);
  if (toLoopback) return { ...ports, host, guest: LOOPBACK[own.family] };
  const otherwise = guest.addressFor(otherFamily(own.family));
  return { ...ports, host, guest: own, ...(otherwise.equals(own) ? {} : { otherwise }) };
}
