import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { Address } from "../base/address.js";
import { UserError } from "../base/errors.js";
import type { PublishedPort } from "../flow/published.js";
import type { Guest } from "../guest.js";
import type { PublishOption } from "./publish-option.js";

const { EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOSPC } = constants.errno;

/** Both families of an unnamed host address get the port that the first was given. */
const ANY: readonly Address[] = [Address.ofIpv4Word(0), Address.ofWords(0, 0, 0, 0)];
/** How often another free port is tried when the second family has it not. */
const RANDOM_ATTEMPTS = 16;

/**
 * Publishes ports of a guest.
 * @returns a line for each whose host port was left to us
 * @throws UserError for the first that cannot be had; the process is then to end
 */
export function publishPorts(guest: Guest, options: readonly PublishOption[]): readonly string[] {
  return options.flatMap((option) =>
    Array.from({ length: option.count }, (_, index) => publishOne(guest, option, index)).flat(),
  );
}

function publishOne(guest: Guest, option: PublishOption, index: number): readonly string[] {
  const hosts = option.host === null ? anyAddresses(guest) : [option.host];
  const guestPort = option.guestPort + index;
  const { protocol } = option;
  if (option.hostPort > 0) {
    addAll(guest, { protocol, guestPort, hostPort: option.hostPort + index }, hosts);
    return [];
  }
  const hostPort = addAtRandom(guest, { protocol, guestPort, hostPort: 0 }, hosts);
  return hosts.map((host) => `published ${placeOf(host, hostPort)} → ${guestPort}/${protocol}\n`);
}

type Ports = Pick<PublishedPort, "protocol" | "guestPort" | "hostPort">;

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

function portOf(guest: Guest, ports: Ports, host: Address): PublishedPort {
  return { ...ports, host, guest: guest.addressFor(host.family) };
}

function publishFailure(host: Address, port: number, errno: number): UserError {
  return new UserError(`cannot publish ${placeOf(host, port)}: ${reasonOf(host, port, errno)}`);
}

function reasonOf(host: Address, port: number, errno: number): string {
  switch (errno) {
    case EADDRINUSE:
      return "the port is in use: choose another, or see who has it: ss -lntup";
    case EACCES:
      return `not permitted: sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${port}, or choose a higher one`;
    case EADDRNOTAVAIL:
      return `this host does not have the address ${host}: see ip addr`;
    case ENOSPC:
      return "there are as many as --max-listeners allows: give a higher number";
    default:
      return `${getSystemErrorName(-errno)}: choose another port`;
  }
}

function placeOf(host: Address, port: number): string {
  return host.family === 4 ? `${host}:${port}` : `[${host}]:${port}`;
}
