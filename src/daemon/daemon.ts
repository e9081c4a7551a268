import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import type { Door } from "../base/peer.js";
import type { DataPlane } from "../dataplane/plane.js";
import type { Loop } from "../loop.js";
import {
  type DaemonStatus,
  type GivenMember,
  type Method,
  type NamespaceRef,
  type Params,
  PROTOCOL_VERSION,
  type Results,
} from "../protocol/messages.js";
import { hasEnded, namespaceId } from "../protocol/namespaces.js";
import type { DaemonPaths } from "../protocol/places.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import type { TapStore } from "../sys/tap-store.js";
import { type Member, Members, memberReport, storeName } from "./members.js";
import type { Network } from "./network.js";
import { Networks } from "./networks.js";
import { networkReport } from "./report.js";
import { type Client, type Methods, Server } from "./server.js";
import { type MemberState, readState, type State, writeState } from "./state.js";
import { type Stayed, takeStayed } from "./stayed.js";

/** What the daemon needs of those above it. */
export interface DaemonContext {
  readonly loop: Loop;
  /** Where the networks are served. */
  readonly plane: DataPlane;
  readonly paths: DaemonPaths;
  /** A socket that listens already, the service manager's; null: at its place. */
  readonly listener: number | null;
  /** Whom it is for. */
  readonly door: Door;
  /** Where TAPs of members that stay outlive this daemon. */
  readonly store: TapStore;
  /** Whether the daemon before us has crashed. */
  readonly isRestarted: boolean;
  /** The directories in which a daemon may write after its lock-down. */
  readonly writable: readonly string[];
  /**
   * Opens the TAPs of a member that stayed again, in its namespace.
   * @param stayed namespaces that may be entered
   * @throws UserError when it is none of those
   */
  readonly reopen: (
    namespace: NamespaceRef,
    given: GivenMember,
    stayed: Stayed,
  ) => readonly ReopenedTap[];
  readonly onStop: () => void;
}

export interface ReopenedTap {
  readonly network: string;
  readonly ifname: string;
  /** A handle of the addon. */
  readonly tap: number;
}

/** All that a daemon is. */
export class Daemon implements Methods {
  readonly #context: DaemonContext;
  readonly #networks: Networks;
  readonly #members: Members;
  readonly #server: Server;
  /** Those that members end with, by the members' ids. */
  readonly #clients = new Map<string, Client>();
  readonly #warnings: string[] = [];
  /** While the state of before is taken up it is not written. */
  #isRestoring = true;
  /** Resolves when it has been taken up: nothing is answered before. */
  readonly restored: Promise<void>;

  /** @throws UserError when another daemon runs, or the socket cannot be made */
  constructor(context: DaemonContext) {
    this.#context = context;
    const { loop, plane, store, paths } = context;
    takeLock(paths.lock);
    takeState(paths);
    const { state, warning } = readState(paths.state);
    if (warning !== null) this.#warn(warning);
    this.#networks = new Networks(plane);
    this.#members = new Members({
      loop,
      plane,
      store,
      networks: this.#networks,
      onChange: () => this.#saveQuietly(),
      // It comes again, as after the end of a daemon.
      onLost: ({ id }) => this.#clients.get(id)?.drop(),
      onServedAgain: (member) => this.#publishAgain(member.id, member.publishing.splice(0)),
    });
    // After a crash the supervisor is there, and has the TAPs.
    const stayed = context.isRestarted ? new Map() : takeStayed(paths.stayed, context.writable);
    this.restored = this.#restore(state, stayed);
    this.#server = new Server(paths.socket, context.listener, loop, this, context.door);
  }

  close(): void {
    this.#server.close();
  }

  async call<M extends Method>(
    method: M,
    params: Params<M>,
    client: Client,
    passed: number | null,
  ): Promise<Results[M]> {
    try {
      await this.restored;
      const carryOut: Handlers[M] = this.#handlers[method];
      const result = await carryOut(params, client, passed);
      // What has changed holds for every frame that comes from now on.
      await this.#context.plane.settled();
      await this.#context.store.settled();
      if (method === "stop") setImmediate(this.#context.onStop);
      return result;
    } finally {
      if (passed !== null) native.close(passed);
    }
  }

  onClientGone(client: Client): void {
    for (const { member, network } of client.pending.values()) {
      this.#members.abandon(member, network);
    }
    for (const id of client.members) {
      this.#clients.delete(id);
      const member = this.#members.all.find((each) => each.id === id);
      if (member !== undefined) this.#members.remove(member, true);
    }
  }

  readonly #handlers: Handlers = {
    status: () => this.#status(),
    // Ends when this has been answered: call().
    stop: () => ({}),
    "network.create": (spec) => this.#createNetwork(spec),
    "network.list": () => this.#networks.all.map((network) => this.#report(network)),
    "network.inspect": ({ name }) => this.#report(this.#networks.getOrDefault(name)),
    "network.remove": ({ name }) => this.#removeNetwork(this.#networks.get(name)),
    "network.prune": () => this.#prune(),
    "member.list": () => this.#listMembers(),
    "member.join": (spec, client) => this.#join(spec, client),
    "member.attach": (params, client, passed) => this.#attach(params, client, passed),
    "member.publish": (params, _client, passed) => this.#publish(params, passed),
    "member.disconnect": ({ network, member }) => {
      this.#members.disconnect(this.#members.get(member), this.#networks.get(network));
      return {};
    },
  };

  #status(): DaemonStatus {
    return {
      version: manifest.version,
      protocol: PROTOCOL_VERSION,
      pid: process.pid,
      namespace: namespaceId("/proc/self/ns/net"),
      networks: this.#networks.all.length,
      members: this.#members.all.length,
      servesContainers: this.#context.door === "containers",
      warnings: this.#warnings,
    };
  }

  #createNetwork(spec: Params<"network.create">): Results["network.create"] {
    const network = this.#networks.create(spec);
    try {
      this.#save();
    } catch (error) {
      this.#networks.remove(network);
      throw error;
    }
    return this.#report(network);
  }

  #removeNetwork(network: Network): Record<string, never> {
    this.#networks.remove(network);
    try {
      this.#save();
    } catch (error) {
      this.#networks.restore(network.definition, network.last);
      throw error;
    }
    return {};
  }

  #prune(): readonly string[] {
    const unused = this.#networks.all.filter(({ population }) => population === 0);
    for (const network of unused) this.#removeNetwork(network);
    return unused.map(({ name }) => name);
  }

  #join(spec: Params<"member.join">, client: Client): GivenMember {
    const before = new Set(this.#members.all.map(({ id }) => id));
    const given = this.#members.join(spec);
    const member = given.id;
    for (const { network } of given.ports) {
      client.pending.set(`${member} ${network}`, { member, network });
    }
    // What joins a member that is there ends with that member.
    if (!before.has(given.id) && !spec.stays) {
      client.members.add(given.id);
      this.#clients.set(given.id, client);
    }
    return given;
  }

  async #listMembers(): Promise<Results["member.list"]> {
    const states = await this.#context.plane.states();
    return this.#members.all.map((member) => memberReport(member, states));
  }

  async #attach(
    params: Params<"member.attach">,
    client: Client,
    passed: number | null,
  ): Promise<Record<string, never>> {
    if (passed === null) throw new UserError("member.attach: no TAP came along");
    await this.#members.attach(params, passed);
    client.pending.delete(`${params.member} ${params.network}`);
    return {};
  }

  async #publish(
    params: Params<"member.publish">,
    listening: number | null,
  ): Promise<readonly string[]> {
    const member = this.#members.get(params.member);
    const port = this.#members.outwardPort(member);
    // Ports of members that have gone are free by then.
    await this.#context.plane.settled();
    const lines = await port.publish({ ports: params.ports, auto: params.auto, listening });
    member.publishing.push(...params.ports);
    if (member.stays) this.#saveQuietly();
    return lines;
  }

  #report(network: Network): Results["network.inspect"] {
    return networkReport(network, this.#members.on(network));
  }

  /**
   * The state was written by a daemon that may have been anybody's by then. So it is believed about names and
   * addresses, and not about what may be entered: a member comes back by TAPs that the supervisor has kept, or in
   * a namespace that the supervisor says it stood in.
   *
   * Namespaces are entered at once, as that is not possible later; the rest comes when it has come.
   */
  async #restore({ networks, members }: State, stayed: Stayed): Promise<void> {
    for (const { definition, last } of networks) this.#networks.restore(definition, last);
    const living = members.filter((spec) => this.#isThere(spec));
    const reopened = living.map((spec) => ({ spec, taps: this.#reopen(spec, stayed) }));
    const handed = new Map(await this.#context.store.handed);
    for (const { spec, taps } of reopened) {
      await this.#rejoin(spec, taps === "unknown" ? this.#take(spec, handed) : taps);
    }
    for (const [name, tap] of handed) {
      this.#context.store.drop(name);
      native.close(tap);
    }
    this.#isRestoring = false;
  }

  #isThere({ name, namespace }: MemberState): boolean {
    const isThere = namespace === null || !hasEnded(namespace);
    if (!isThere) this.#onNotJoined(name, new UserError("its namespace is gone"));
    return isThere;
  }

  /** @returns "unknown" when nobody has said that its namespace may be entered; null: it is not joined again */
  #reopen(
    { published, ...spec }: MemberState,
    stayed: Stayed,
  ): readonly OwnTap[] | "unknown" | null {
    const { reopen } = this.#context;
    const { namespace } = spec;
    if (namespace === null || !stayed.has(namespace.id)) return "unknown";
    return this.#joinAgain(spec, (given) => reopen(namespace, given, stayed));
  }

  /** By those of its TAPs that were kept. @returns null when it is not joined again */
  #take(
    { published, ...spec }: MemberState,
    handed: Map<string, number>,
  ): readonly OwnTap[] | null {
    const taps = spec.ports.flatMap(({ network, ifname }) => {
      const name = this.#storeName(spec.id, network);
      const tap = handed.get(name);
      return tap === undefined || ifname === null ? [] : [{ network, ifname, tap, name }];
    });
    const ports = spec.ports.filter((port) => taps.some(({ network }) => network === port.network));
    const joined = this.#joinAgain({ ...spec, ports }, () => taps);
    // The rest is nobody's.
    if (joined !== null) for (const { name } of taps) handed.delete(name);
    return joined;
  }

  /** "" when it is on no network that there is. */
  #storeName(member: string | null, network: string): string {
    const found = this.#networks.all.find(({ name }) => name === network);
    return member === null || found === undefined ? "" : storeName(member, found);
  }

  /** @returns null when it is not joined again */
  #joinAgain(
    spec: Params<"member.join">,
    open: (given: GivenMember) => readonly ReopenedTap[],
  ): readonly OwnTap[] | null {
    try {
      if (spec.ports.length === 0) throw new UserError(notVouchedFor(spec));
      const given = this.#members.join(spec);
      const member = this.#members.get(given.id);
      try {
        return open(given).map(({ network, ifname, tap }) => ({ member, network, ifname, tap }));
      } catch (error) {
        this.#members.remove(member);
        throw error;
      }
    } catch (error) {
      this.#onNotJoined(spec.name, error);
      return null;
    }
  }

  /** @throws what is no UserError */
  #onNotJoined(name: string | null, error: unknown): void {
    if (!(error instanceof UserError)) throw error;
    log.warn(`${name} is not joined again: ${error.message}`);
  }

  async #rejoin({ name, published }: MemberState, taps: readonly OwnTap[] | null): Promise<void> {
    if (taps === null) return;
    const [first] = taps;
    const attached = taps.map(({ member, network, ifname, tap }) =>
      this.#members
        .attach({ member: member.id, network, ifname, namespace: null }, tap)
        .finally(() => native.close(tap)),
    );
    try {
      await Promise.all(attached);
      if (published.length > 0) await this.#publishAgain(first.member.id, published);
    } catch (error) {
      this.#members.remove(first.member);
      this.#onNotJoined(name, error);
    }
  }

  async #publishAgain(member: string, ports: readonly string[]): Promise<void> {
    try {
      await this.#publish({ member, ports: [...ports], auto: null }, null);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#warn(error.message);
    }
  }

  /** @throws UserError when it cannot be written */
  #save(isDurable = true): void {
    if (this.#isRestoring) return;
    writeState(this.#context.paths.state, this.#networks.all, this.#members.all, isDurable);
  }

  /** For what has happened already, whether or not the disk is full. */
  #saveQuietly(): void {
    try {
      this.#save(false);
    } catch (error) {
      this.#warn(error instanceof Error ? error.message : String(error));
    }
  }

  #warn(warning: string): void {
    log.warn(warning);
    if (!this.#warnings.includes(warning)) this.#warnings.push(warning);
  }
}

/** One of a member that is joined again. */
interface OwnTap extends ReopenedTap {
  readonly member: Member;
}

type Handlers = {
  /** @param passed is closed when it is done */
  readonly [M in Method]: (
    params: Params<M>,
    client: Client,
    passed: number | null,
  ) => Results[M] | Promise<Results[M]>;
};

function notVouchedFor({ namespace }: Params<"member.join">): string {
  const where = namespace?.pid ?? namespace?.netns ?? "its namespace";
  return `no command of yours is known to have connected it: slipway network connect NETWORK ${where}`;
}

/** The descriptor stays open, and with it the lock, until the process ends. */
function takeLock(path: string): void {
  if (!isLocked(path)) throw new UserError("the daemon runs already: slipway daemon status");
}

/** The state may be that of a daemon with another runtime directory. */
function takeState({ stateLock, state, socket }: DaemonPaths): void {
  if (isLocked(stateLock)) {
    writeFileSync(stateLock, `${process.pid} ${path.dirname(socket)}\n`);
    return;
  }
  const [, pid, directory] = OWNER.exec(readFileSync(stateLock, "latin1")) ?? [];
  const who =
    pid === undefined ? "another daemon" : `process ${pid}, with its sockets in ${directory}`;
  throw new UserError(
    `the state in ${path.dirname(state)} is that of ${who}: set XDG_RUNTIME_DIR as it has it, or XDG_STATE_HOME to another directory`,
  );
}

/** The file is another daemon's: nothing of it goes to a terminal but what is expected. */
const OWNER = /^(\d{1,10}) (\/[\x20-\x7e]{0,200})\n$/;

/** @throws UserError */
function isLocked(file: string): boolean {
  const lock = native.lockFile(file);
  if (lock < 0 && lock !== -Errno.EAGAIN) {
    throw new UserError(`cannot lock ${file} (error ${-lock}): see its directory`);
  }
  return lock >= 0;
}
