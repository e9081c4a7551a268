import { type Address, Address as Addresses } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import { formatMac } from "../base/mac.js";
import type { PortConfig, PortState } from "../dataplane/messages.js";
import type { DataPlane, PlacedPort } from "../dataplane/plane.js";
import type { Loop } from "../loop.js";
import type { PortIdentity } from "../network/guard.js";
import { isLabel, type NamedMember } from "../network/names.js";
import type {
  GivenMember,
  GivenPort,
  MemberReport,
  NamespaceRef,
  Params,
} from "../protocol/messages.js";
import { native } from "../sys/native.js";
import { randomBytes } from "../sys/random.js";
import type { TapStore } from "../sys/tap-store.js";
import { type Network, parseMemberMac } from "./network.js";
import { type Networks, parseAddress } from "./networks.js";

/** A place that has lost its thread so often may be what kills it. */
const MOST_LOSSES = 3;

/** A member's place on one network. */
export interface Port {
  readonly network: Network;
  readonly identity: PortIdentity;
  readonly named: NamedMember;
  ifname: string | null;
  /** null before its TAP has come. */
  placed: PlacedPort | null;
  /** The TAP of a member that stays, to serve it again by; null: it is its client's. */
  kept: KeptTap | null;
  /** How often the thread that served it has died. */
  losses: number;
}

/** A TAP that outlives the thread that serves it, and this daemon. */
interface KeptTap {
  /** A handle. */
  readonly tap: number;
  readonly close: () => void;
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
  /** Where they are served. */
  readonly plane: DataPlane;
  /** Where TAPs outlive this daemon. */
  readonly store: TapStore;
  /** Called when members that stay, or networks, have come or gone. */
  readonly onChange: () => void;
  /** Called when a member whose client has its TAPs has lost a place with the thread that served it. */
  readonly onLost: (member: Member) => void;
  /** Called when a place whose gateway leads outside is served again: publishes its ports. */
  readonly onServedAgain: (member: Member) => Promise<void>;
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
      for (const port of member.ports.splice(before)) giveBack(port);
      throw error;
    }
    this.#members.set(member.id, member);
    this.#tellNetworks(member);
    for (const { network } of member.ports) this.#context.plane.prepare(network.definition.id);
    member.labels = { ...member.labels, ...spec.labels };
    this.#watch(member);
    return { id: member.id, name: member.name, ports: member.ports.slice(before).map(givenPort) };
  }

  /**
   * Serves a place from now on.
   * @param tap stays the caller's; it may be closed when this has told
   * @throws UserError
   */
  async attach(
    { member: id, network: name, ifname, namespace }: Params<"member.attach">,
    tap: number,
  ): Promise<void> {
    const member = this.get(id);
    const port = portOn(member, name);
    if (port.placed !== null) throw new UserError(`${member.name} is on network ${name} already`);
    if (namespace !== null) member.namespace = namespace;
    port.ifname = ifname;
    port.kept?.close();
    port.kept = member.stays ? this.#keepTap(storeName(member.id, port.network), tap) : null;
    await this.#place(member, port, tap);
    this.#context.onChange();
  }

  /** @throws UserError */
  async #place(member: Member, port: Port, tap: number): Promise<void> {
    const { plane } = this.#context;
    const placed = plane.add(portConfig(member, port, tap), (why, isLost) =>
      this.#onGone(member, port, why, isLost),
    );
    port.placed = placed;
    const { names, addresses } = port.named;
    const network = port.network.definition.id;
    const texts = addresses.map((address) => `${address}`);
    plane.learn(nameKey(placed), { kind: "name", network, names, addresses: texts });
    try {
      await placed.isUp;
    } catch (error) {
      plane.forget(nameKey(placed));
      if (port.placed === placed) port.placed = null;
      throw error;
    }
  }

  #onGone(member: Member, port: Port, why: string, isLost: boolean): void {
    log.info(`${member.name} has left ${port.network.name}: ${why}`);
    if (isLost && port.kept !== null && port.losses < MOST_LOSSES) {
      void this.#placeAgain(member, port, port.kept.tap);
      return;
    }
    this.#drop(member, port);
    if (isLost && !member.stays) this.#context.onLost(member);
  }

  async #placeAgain(member: Member, port: Port, tap: number): Promise<void> {
    port.losses += 1;
    if (port.placed !== null) this.#context.plane.forget(nameKey(port.placed));
    try {
      await this.#place(member, port, tap);
      if (port === outwardPortOf(member)) await this.#context.onServedAgain(member);
    } catch (error) {
      log.error(`${member.name} is not served again: ${String(error)}`);
      if (port.placed === null) this.#drop(member, port);
    }
  }

  #keepTap(name: string, given: number): KeptTap {
    const tap = copyOf(given);
    const { store } = this.#context;
    store.keep(name, tap);
    const close = (): void => {
      store.drop(name);
      native.close(tap);
    };
    return { tap, close };
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

  /**
   * Gives a place back whose TAP has not come. It would be kept for a namespace that may be gone, and
   * whichever gets the number of that next would be taken for this member.
   */
  abandon(id: string, network: string): void {
    const member = this.#members.get(id);
    const port = member?.ports.find((each) => each.network.name === network);
    if (member !== undefined && port?.placed === null) this.#drop(member, port);
  }

  /** @param isFinished its command has ended: what it sent last is passed on */
  remove(member: Member, isFinished = false): void {
    if (!this.#members.delete(member.id)) return;
    for (const port of member.ports.splice(0)) this.#end(port, isFinished);
    this.#context.plane.forget(member.id);
    this.#unwatch(member);
    if (member.stays) this.#context.onChange();
  }

  /** The place whose gateway leads outside. @throws UserError when none does */
  outwardPort(member: Member): PlacedPort {
    const port = outwardPortOf(member);
    if (port?.placed !== null && port?.placed !== undefined) return port.placed;
    throw new UserError(
      `${member.name} is on internal networks alone: ports are published on networks that lead outside`,
    );
  }

  #drop(member: Member, port: Port): void {
    const index = member.ports.indexOf(port);
    if (index < 0) return;
    member.ports.splice(index, 1);
    this.#end(port, false);
    if (member.ports.length === 0) {
      this.remove(member);
      return;
    }
    this.#tellNetworks(member);
    if (member.stays) this.#context.onChange();
  }

  /** Its names are free at once; its addresses, too, unless it is drained. */
  #end(port: Port, isDrained: boolean): void {
    const { placed } = port;
    if (placed === null) {
      giveBack(port);
      return;
    }
    this.#context.plane.forget(nameKey(placed));
    const removed = placed.remove(isDrained);
    // What takes them next comes after this.
    if (isDrained) void removed.then(() => giveBack(port));
    else giveBack(port);
  }

  /** Whose names it may know. */
  #tellNetworks({ id, ports }: Member): void {
    const networks = ports.map(({ network }) => network.definition.id);
    this.#context.plane.learn(id, { kind: "member", id, networks });
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
      id,
      name: name.toLowerCase(),
      hostname: spec.hostname ?? name,
      since: Date.now(),
      namespace: spec.namespace,
      stays: spec.stays,
      ports: [],
      hosts: parseHosts(spec.hosts),
      dns: spec.dns.map((text) => parseAddress("--dns", text)),
      hostLoopback: spec.hostLoopback,
      labels: {},
      publishing: [],
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
    member.ports.push({ network, identity, named, ifname: spec.ifname, ...UNPLACED });
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

const UNPLACED = { placed: null, kept: null, losses: 0 } as const;

function giveBack(port: Port): void {
  port.network.give(port.identity);
  port.kept?.close();
  port.kept = null;
}

/** By which the store has the TAP of a place; it has room for two ids. */
export function storeName(member: string, { definition }: Network): string {
  return member + definition.id;
}

/** @throws UserError when there is no descriptor left */
function copyOf(fd: number): number {
  const copy = native.copyFd(fd);
  if (copy < 0) throw new UserError("the daemon has no descriptor left: ulimit -n");
  return copy;
}

/** The one whose gateway leads outside. */
function outwardPortOf({ ports }: Member): Port | undefined {
  return ports.find(({ network }) => !network.definition.internal);
}

/** Under which those who serve know the names of a place. */
function nameKey({ number }: PlacedPort): string {
  return `name ${number}`;
}

function portConfig(member: Member, { network, identity }: Port, tap: number): PortConfig {
  const { id, hostname, hosts, dns, hostLoopback } = member;
  const textsOf = (addresses: readonly Address[]) => addresses.map((address) => `${address}`);
  return {
    network: network.definition.id,
    member: id,
    mac: identity.mac,
    addresses: textsOf(identity.addresses),
    hostname,
    hostLoopback,
    hosts: [...hosts].map(([name, addresses]) => [name, textsOf(addresses)] as const),
    dns: textsOf(dns),
    tap,
  };
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
    address: `${guest}`,
    subnet: `${prefix}`,
    gateway: `${gateway}`,
  }));
  const mac = formatMac(identity.mac);
  return { network: name, ifname, mac, mtu, internal, aliases: named.names.slice(1), addresses };
}

/** @param states of all ports that are served, by number */
export function memberReport(member: Member, states: ReadonlyMap<number, PortState>): MemberReport {
  const own = member.ports.map((port) => ({ port, state: stateOf(port, states) }));
  return {
    id: member.id,
    name: member.name,
    pid: member.namespace?.pid ?? null,
    netns: member.namespace?.netns ?? null,
    labels: member.labels,
    since: Math.floor(member.since / 1000),
    networks: own.map(({ port, state: { counters, drops } }) => ({
      ...givenPort(port),
      counters,
      drops,
    })),
    published: own.flatMap(({ state }) => state.published),
  };
}

const NOTHING_YET: Omit<PortState, "port"> = {
  counters: { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0 },
  drops: {},
  published: [],
};

function stateOf(
  { placed }: Port,
  states: ReadonlyMap<number, PortState>,
): Omit<PortState, "port"> {
  return (placed === null ? undefined : states.get(placed.number)) ?? NOTHING_YET;
}
