import manifest from "../../package.json" with { type: "json" };
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import type { Guest } from "../guest.js";
import type { Loop } from "../loop.js";
import {
  type DaemonStatus,
  type GivenMember,
  type Method,
  type Params,
  PROTOCOL_VERSION,
  type Results,
} from "../protocol/messages.js";
import { namespaceId } from "../protocol/namespaces.js";
import type { Places } from "../protocol/places.js";
import { ResolvConf } from "../service/resolvconf.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { Members, memberReport } from "./members.js";
import type { Network } from "./network.js";
import { Networks } from "./networks.js";
import { networkReport } from "./report.js";
import { type Client, type Methods, Server } from "./server.js";
import { type MemberState, readState, type State, writeState } from "./state.js";

const RESOLV_CONF = "/etc/resolv.conf";

/** What the daemon needs of those above it. */
export interface DaemonContext {
  readonly loop: Loop;
  readonly places: Places;
  /** A socket that listens already, the service manager's; null: at its place. */
  readonly listener: number | null;
  /**
   * Publishes ports of a guest, as `--publish` writes them.
   * @param listening a socket that tells what listens in its namespace, closed with the guest; or null
   * @returns a line for each that was chosen
   * @throws UserError
   */
  readonly publish: (
    guest: Guest,
    what: Params<"member.publish">,
    listening: number | null,
  ) => readonly string[];
  /**
   * Enters the namespace of a member that stayed and opens its TAPs again.
   * @throws UserError when the namespace is gone
   */
  readonly reopen: (spec: Params<"member.join">, given: GivenMember) => readonly ReopenedTap[];
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
  readonly #networks = new Networks();
  readonly #members: Members;
  readonly #server: Server;
  readonly #warnings: string[] = [];
  /** While the state of before is taken up it is not written. */
  #isRestoring = true;

  /** @throws UserError when another daemon runs, or the socket cannot be made */
  constructor(context: DaemonContext) {
    this.#context = context;
    const { loop, places } = context;
    takeLock(places.lock);
    const { state, warning } = readState(places.state);
    if (warning !== null) this.#warn(warning);
    this.#members = new Members({
      ...{ loop, networks: this.#networks, upstream: new ResolvConf(RESOLV_CONF) },
      onChange: () => this.#saveQuietly(),
    });
    this.#restore(state);
    this.#isRestoring = false;
    this.#server = new Server(places.socket, context.listener, loop, this);
  }

  close(): void {
    this.#server.close();
  }

  call<M extends Method>(
    method: M,
    params: Params<M>,
    client: Client,
    passed: number | null,
  ): Results[M] {
    const carryOut: Handlers[M] = this.#handlers[method];
    return carryOut(params, client, passed);
  }

  onClientGone(client: Client): void {
    for (const id of client.members) {
      const member = this.#members.all.find((each) => each.id === id);
      if (member !== undefined) this.#members.remove(member, true);
    }
  }

  readonly #handlers: Handlers = {
    status: () => this.#status(),
    stop: () => {
      setImmediate(this.#context.onStop);
      return {};
    },
    "network.create": (spec) => this.#createNetwork(spec),
    "network.list": () => this.#networks.all.map((network) => this.#report(network)),
    "network.inspect": ({ name }) => this.#report(this.#networks.getOrDefault(name)),
    "network.remove": ({ name }) => this.#removeNetwork(this.#networks.get(name)),
    "network.prune": () => this.#prune(),
    "member.list": () => this.#members.all.map(memberReport),
    "member.join": (spec, client) => this.#join(spec, client),
    "member.attach": (params, _client, passed) => this.#attach(params, passed),
    "member.publish": (params, _client, passed) => this.#publish(params, passed),
    "member.disconnect": ({ network, member }) => {
      this.#members.disconnect(this.#members.get(member), this.#networks.get(network));
      return {};
    },
  };

  #status(): DaemonStatus {
    return {
      ...{ version: manifest.version, protocol: PROTOCOL_VERSION, pid: process.pid },
      namespace: namespaceId("/proc/self/ns/net"),
      networks: this.#networks.all.length,
      members: this.#members.all.length,
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
    // What joins a member that is there ends with that member.
    if (!before.has(given.id) && !spec.stays) client.members.add(given.id);
    return given;
  }

  #attach(params: Params<"member.attach">, passed: number | null): Record<string, never> {
    if (passed === null) throw new UserError("member.attach: no TAP came along");
    try {
      this.#members.attach(params, passed);
    } catch (error) {
      native.close(passed);
      throw error;
    }
    return {};
  }

  #publish(params: Params<"member.publish">, listening: number | null): readonly string[] {
    const member = this.#members.get(params.member);
    const lines = this.#context.publish(this.#members.outwardGuest(member), params, listening);
    member.publishing.push(...params.ports);
    if (member.stays) this.#saveQuietly();
    return lines;
  }

  #report(network: Network): Results["network.inspect"] {
    return networkReport(network, this.#members.on(network));
  }

  #restore({ networks, members }: State): void {
    for (const { definition, last } of networks) this.#networks.restore(definition, last);
    for (const spec of members) {
      try {
        this.#rejoin(spec);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        log.warn(`${spec.name} is not joined again: ${error.message}`);
      }
    }
  }

  #rejoin({ published, ...spec }: MemberState): void {
    const given = this.#members.join(spec);
    const { id } = given;
    try {
      const taps = this.#context.reopen(spec, given);
      for (const { network, ifname, tap } of taps) {
        this.#attach({ member: id, network, ifname, namespace: null }, tap);
      }
    } catch (error) {
      this.#members.remove(this.#members.get(id));
      throw error;
    }
    if (published.length > 0) this.#publishAgain(id, published);
  }

  #publishAgain(member: string, ports: readonly string[]): void {
    try {
      this.#publish({ member, ports: [...ports], auto: null }, null);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#warn(error.message);
    }
  }

  /** @throws UserError when it cannot be written */
  #save(isDurable = true): void {
    if (this.#isRestoring) return;
    writeState(this.#context.places.state, this.#networks.all, this.#members.all, isDurable);
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

type Handlers = {
  readonly [M in Method]: (params: Params<M>, client: Client, passed: number | null) => Results[M];
};

/** The descriptor stays open, and with it the lock, until the process ends. */
function takeLock(path: string): void {
  const lock = native.lockFile(path);
  if (lock >= 0) return;
  if (lock === -Errno.EAGAIN) throw new UserError("the daemon runs already: slipway daemon status");
  throw new UserError(`cannot lock ${path} (error ${-lock}): see its directory`);
}
