import { type Address, Address as Addresses } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { DEFAULT_LIMITS } from "../base/limits.js";
import { log } from "../base/log.js";
import { formatMac } from "../base/mac.js";
import {
  DEFAULT_TIMEOUTS,
  type DnsConfig,
  type GuestConfig,
  type NameTable,
  type Upstream,
} from "../base/plan.js";
import type { PublishedPort } from "../flow/published.js";
import type { Guest } from "../guest.js";
import type { Loop } from "../loop.js";
import type { PortIdentity } from "../network/guard.js";
import { isLabel, type NamedMember } from "../network/names.js";
import type { SwitchPort } from "../network/switch.js";
import type {
  GivenMember,
  GivenPort,
  MemberReport,
  NamespaceRef,
  Params,
  PortReport,
} from "../protocol/messages.js";
import { native } from "../sys/native.js";
import { randomBytes } from "../sys/random.js";
import { type Network, parseMemberMac } from "./network.js";
import { type Networks, parseAddress } from "./networks.js";

/** As the command line's default. */
const MEMORY_BUDGET = 64 * 1024 * 1024;

/** For how long a place may outlive its member, in ms. */
const DRAIN_LIMIT = 5_000;

/** What podman and Docker call the host; answered with the gateway's addresses. */
const HOST_NAMES: readonly string[] = ["host.containers.internal", "host.docker.internal"];

/** A member's place on one network. */
export interface Port {
  readonly network: Network;
  readonly identity: PortIdentity;
  readonly named: NamedMember;
  readonly switchPort: SwitchPort;
  ifname: string | null;
  /** null before its TAP has come. */
  guest: Guest | null;
}

/** A namespace with a place on one network or several. */
export interface Member {
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  namespace: NamespaceRef | null;
  readonly stays: boolean;
  readonly ports: Port[];
  readonly hosts: ReadonlyMap<string, readonly Address[]>;
  readonly dns: readonly Address[];
  readonly hostLoopback: boolean;
  labels: Readonly<Record<string, string>>;
  /** As --publish wrote them; of a member that stays they are published again by the next daemon. */
  readonly publishing: string[];
}

/** What the members need of the daemon. */
export interface MembersContext {
  readonly loop: Loop;
  readonly networks: Networks;
  /** The host's resolvers. */
  readonly upstream: Upstream;
  /** Called when members that stay, or networks, have come or gone. */
  readonly onChange: () => void;
}

/** The members of all networks. */
export class Members {
  readonly #context: MembersContext;
  readonly #members = new Map<string, Member>();
  /** Handles of the processes that members were named by. */
  readonly #pidfds = new Map<Member, number>();

  constructor(context: MembersContext) {
    this.#context = context;
  }

  get all(): readonly Member[] {
    return [...this.#members.values()];
  }

  on(network: Network): readonly Member[] {
    return this.all.filter(({ ports }) => ports.some((port) => port.network === network));
  }

  /**
   * Gives names and addresses to a member, or to one more place of one that is there: a namespace is
   * one member, on however many networks.
   * @throws UserError, and nothing is taken then
   */
  join(spec: Params<"member.join">): GivenMember {
    const known = this.#inNamespace(spec.namespace);
    const member = known ?? this.#create(spec);
    const before = member.ports.length;
    try {
      for (const port of spec.ports) this.#addPort(member, port);
    } catch (error) {
      for (const port of member.ports.splice(before)) endPort(port);
      throw error;
    }
    this.#members.set(member.id, member);
    member.labels = { ...member.labels, ...spec.labels };
    this.#watch(member);
    return { id: member.id, name: member.name, ports: member.ports.slice(before).map(givenPort) };
  }

  /**
   * Serves a place from now on.
   * @param tap becomes the member's
   * @throws UserError
   */
  attach(
    { member: id, network: name, ifname, namespace }: Params<"member.attach">,
    tap: number,
  ): void {
    const member = this.get(id);
    const port = portOn(member, name);
    if (port.guest !== null) throw new UserError(`${member.name} is on network ${name} already`);
    if (namespace !== null) member.namespace = namespace;
    port.ifname = ifname;
    const { loop } = this.#context;
    const onGone = (why: string): void => {
      log.info(`${member.name} has left ${name}: ${why}`);
      this.#drop(member, port);
    };
    const handle = { fd: tap, vnetHeader: true };
    const config = this.#configOf(member, port);
    try {
      port.guest = loop.addGuest(handle, config, onGone, null, port.switchPort);
    } catch (error) {
      if (error instanceof RangeError) throw new UserError(error.message);
      throw error;
    }
    port.network.names.add(port.named);
    this.#context.onChange();
  }

  /** By id, name, or the beginning of its id. @throws UserError */
  get(name: string): Member {
    const found =
      this.#members.get(name) ??
      this.all.find((member) => member.name === name) ??
      this.all.find(({ id }) => name.length >= 8 && id.startsWith(name));
    if (found !== undefined) return found;
    throw new UserError(`there is no member ${name}: slipway ps shows those that are`);
  }

  /** @throws UserError when it is not on that network */
  disconnect(member: Member, network: Network): void {
    this.#drop(member, portOn(member, network.name));
  }

  /** @param isFinished its command has ended: what it sent last is passed on */
  remove(member: Member, isFinished = false): void {
    if (!this.#members.delete(member.id)) return;
    for (const port of member.ports.splice(0)) {
      if (isFinished && port.guest !== null) this.#endWhenDrained(port, port.guest);
      else this.#end(port);
    }
    this.#unwatch(member);
    if (member.stays) this.#context.onChange();
  }

  /** The place whose gateway leads outside. @throws UserError when none does */
  outwardGuest(member: Member): Guest {
    const port = member.ports.find(({ network }) => !network.definition.internal);
    if (port?.guest !== null && port?.guest !== undefined) return port.guest;
    throw new UserError(
      `${member.name} is on internal networks alone: ports are published on networks that lead outside`,
    );
  }

  #drop(member: Member, port: Port): void {
    const index = member.ports.indexOf(port);
    if (index < 0) return;
    member.ports.splice(index, 1);
    this.#end(port);
    if (member.ports.length === 0) this.remove(member);
    else if (member.stays) this.#context.onChange();
  }

  /** Its names are free at once, its addresses when nothing goes to the host any more. */
  #endWhenDrained(port: Port, guest: Guest): void {
    port.network.names.remove(port.named);
    this.#context.loop.drain(DRAIN_LIMIT, () => this.#end(port), guest);
  }

  #end(port: Port): void {
    if (port.guest !== null) this.#context.loop.removeGuest(port.guest);
    endPort(port);
  }

  #inNamespace(namespace: NamespaceRef | null): Member | undefined {
    if (namespace === null) return undefined;
    return this.all.find((member) => member.namespace?.id === namespace.id);
  }

  #create(spec: Params<"member.join">): Member {
    const isFree = spec.id !== null && !this.#members.has(spec.id);
    const id = isFree && spec.id !== null ? spec.id : newId();
    const name = spec.name ?? id.slice(0, 12);
    if (!isLabel(name)) {
      throw new UserError(
        `"${name}" cannot be a name: use letters, digits and hyphens, 63 at most`,
      );
    }
    const other = this.all.find((member) => member.name === name.toLowerCase());
    if (other !== undefined) {
      throw new UserError(
        `the name ${name} is taken by a member of ${networksOf(other)}: choose another`,
      );
    }
    return {
      ...{ id, name: name.toLowerCase(), hostname: spec.hostname ?? name, since: Date.now() },
      ...{ namespace: spec.namespace, stays: spec.stays, ports: [] },
      hosts: parseHosts(spec.hosts),
      dns: spec.dns.map((text) => parseAddress("--dns", text)),
      ...{ hostLoopback: spec.hostLoopback, labels: {}, publishing: [] },
    };
  }

  #addPort(member: Member, spec: Params<"member.join">["ports"][number]): void {
    const network = this.#context.networks.getOrDefault(spec.network);
    if (member.ports.some((port) => port.network === network)) {
      throw new UserError(
        `${member.name} is on network ${network.name} already: slipway network disconnect ${network.name} ${member.name}`,
      );
    }
    for (const alias of spec.aliases) {
      if (isLabel(alias)) continue;
      throw new UserError(
        `"${alias}" cannot be an alias: use letters, digits and hyphens, 63 at most`,
      );
    }
    const wanted = spec.addresses.map((text) => parseAddress("--ip", text));
    const mac = spec.mac === null ? null : parseMemberMac(spec.mac);
    const identity = network.take(wanted, mac, member.name);
    const names = [member.name, ...spec.aliases, ...idAlias(member)].map((each) =>
      each.toLowerCase(),
    );
    const named = { names: [...new Set(names)], addresses: identity.addresses };
    const switchPort = network.switch.addPort(identity);
    member.ports.push({ network, identity, named, switchPort, ifname: spec.ifname, guest: null });
  }

  #configOf(member: Member, { network, identity }: Port): GuestConfig {
    const { internal, mtu } = network.definition;
    const { networks } = this.#context;
    return {
      ...{ mtu, plans: network.plansFor(identity), hostLoopback: member.hostLoopback && !internal },
      ...{ dns: this.#dnsOf(member, network), hostname: member.hostname },
      ...{ outbound: { 4: null, 6: null }, udpFiltering: "endpoint" as const },
      ...{ memoryBudget: MEMORY_BUDGET, limits: DEFAULT_LIMITS, timeouts: DEFAULT_TIMEOUTS },
      membership: { mayReach: (address) => !internal && !networks.contains(address) },
    };
  }

  #dnsOf(member: Member, network: Network): DnsConfig {
    const { upstream } = this.#context;
    const none: readonly Address[] = [];
    return {
      upstream: {
        get servers() {
          if (network.definition.internal) return none;
          return member.dns.length > 0 ? member.dns : upstream.servers;
        },
        search: [],
      },
      records: new MemberNames(member, network),
    };
  }

  /** A member that was named by a process ends with it. */
  #watch(member: Member): void {
    const pid = member.namespace?.pid ?? null;
    if (pid === null || !member.stays || this.#pidfds.has(member)) return;
    // #syscalls daemon: pidfd_open statx newfstatat readlink
    const pidfd = native.pidfdOpen(pid);
    if (pidfd < 0) {
      this.remove(member);
      throw new UserError(`process ${pid} has ended while it was being connected`);
    }
    this.#pidfds.set(member, pidfd);
    this.#context.loop.watchFd(pidfd, () => this.remove(member));
  }

  #unwatch(member: Member): void {
    const pidfd = this.#pidfds.get(member);
    if (pidfd === undefined) return;
    this.#pidfds.delete(member);
    this.#context.loop.unwatch(pidfd);
    native.close(pidfd);
  }
}

/** The names that one member can resolve: those of all networks that it is on, and no others. */
class MemberNames implements NameTable {
  readonly #member: Member;
  readonly #network: Network;

  constructor(member: Member, network: Network) {
    this.#member = member;
    this.#network = network;
  }

  get(name: string, type: string): readonly Address[] | undefined {
    const given = this.#member.hosts.get(name);
    if (given !== undefined) return given;
    for (const { network } of this.#member.ports) {
      const found = network.names.addressesOf(name, type);
      if (found !== undefined) return found;
    }
    if (!HOST_NAMES.includes(name)) return undefined;
    return this.#network.definition.subnets.map(({ gateway }) => gateway);
  }

  namesOf(address: Address): readonly string[] | undefined {
    for (const { network } of this.#member.ports) {
      const found = network.names.namesOf(address);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function endPort({ network, identity, named, switchPort }: Port): void {
  network.names.remove(named);
  network.switch.removePort(switchPort);
  network.give(identity);
}

/** Docker answers for a container's id, too. */
function idAlias({ id }: Member): readonly string[] {
  return [id.slice(0, 12)];
}

function portOn(member: Member, network: string): Port {
  const port = member.ports.find((each) => each.network.name === network);
  if (port !== undefined) return port;
  throw new UserError(
    `${member.name} is not on network ${network}: it is on ${networksOf(member)}`,
  );
}

function networksOf({ ports }: Member): string {
  return ports.map(({ network }) => network.name).join(", ");
}

function newId(): string {
  return Buffer.from(randomBytes(32)).toString("hex");
}

function parseHosts(texts: readonly string[]): ReadonlyMap<string, readonly Address[]> {
  const records = texts.map((text) => {
    const [name = "", address = ""] = text.split("=");
    return { name, address: Addresses.parse(address) };
  });
  const groups = Map.groupBy(records, ({ name }) => name);
  return new Map(
    [...groups].map(([name, group]) => [name, group.flatMap(({ address }) => address ?? [])]),
  );
}

export function givenPort({ network, identity, named, ifname }: Port): GivenPort {
  const { name, mtu, internal } = network.definition;
  const addresses = network.plansFor(identity).map(({ guest, prefix, gateway }) => ({
    ...{ address: `${guest}`, subnet: `${prefix}`, gateway: `${gateway}` },
  }));
  const mac = formatMac(identity.mac);
  return { network: name, ifname, mac, mtu, internal, aliases: named.names.slice(1), addresses };
}

export function memberReport(member: Member): MemberReport {
  return {
    ...{ id: member.id, name: member.name, pid: member.namespace?.pid ?? null },
    ...{ netns: member.namespace?.netns ?? null, labels: member.labels },
    since: Math.floor(member.since / 1000),
    networks: member.ports.map(portReport),
    published: member.ports.flatMap(({ guest }) => guest?.forwards.rules.map(ruleText) ?? []),
  };
}

/** As docker ps has it. */
function ruleText({ host, hostPort, guestPort, protocol }: PublishedPort): string {
  const place = host.family === 4 ? `${host}` : `[${host}]`;
  return `${place}:${hostPort}->${guestPort}/${protocol}`;
}

function portReport(port: Port): PortReport {
  const { counters, drops } = port.switchPort;
  const all = [...drops.entries(), ...(port.guest?.drops.entries() ?? [])];
  const sum: Record<string, number> = {};
  for (const [reason, count] of all) sum[reason] = (sum[reason] ?? 0) + count;
  return { ...givenPort(port), counters, drops: sum };
}
