import manifest from "../../package.json" with { type: "json" };
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import { findByName } from "../config/names.js";
import type { Loop } from "../loop/loop.js";
import type { DaemonPaths } from "../rpc/daemon-paths.js";
import { type GivenMember, type Method, type Params, PROTOCOL_VERSION } from "../rpc/messages.js";
import { namespaceId, netnsOf } from "../rpc/namespaces.js";
import type { DaemonStatus, Disconnected, LocatedMember, Results } from "../rpc/reports.js";
import { native } from "../sys/native.js";
import type { Audience } from "../sys/peers/access.js";
import { isUserOrRoot } from "../sys/peers/peer.js";
import type { TapStore } from "../sys/tap-store.js";
import type { Attachment } from "./attachment.js";
import { clusterless, type Handlers } from "./handlers.js";
import { type Member, needsAuto, outboundAttachmentOf } from "./member.js";
import { Members } from "./members.js";
import type { Network } from "./network.js";
import { Networks } from "./networks.js";
import { emptyReport, memberReport, networkReport } from "./report.js";
import { notBack, Returning } from "./returning.js";
import { type Client, type Methods, Server } from "./server.js";
import { takeLocks } from "./state/locks.js";
import { restore } from "./state/restore.js";
import { readState, type State, writeState } from "./state/state-file.js";
import { takeVouched, type VouchedNamespaces } from "./state/vouched.js";
import { TapHolders } from "./tap-holders.js";
import type { DataPlane } from "./workers/plane.js";

/** What the daemon needs of its caller. */
export interface DaemonContext {
  readonly loop: Loop;
  /** Where the networks are served. */
  readonly plane: DataPlane;
  readonly paths: DaemonPaths;
  /** A listening socket, the service manager's; null: the daemon makes its own. */
  readonly listener: number | null;
  /** Whom the socket serves. */
  readonly audience: Audience;
  /** What it is set to, for its status. */
  readonly settings: DaemonStatus["settings"];
  /** What its status warns of from the beginning. */
  readonly warnings: readonly string[];
  /** Where TAPs of members that stay outlive this daemon. */
  readonly store: TapStore;
  /** Whether the daemon before us has crashed. */
  readonly isRestarted: boolean;
  /** The directories in which a daemon may write after its lock-down. */
  readonly writable: readonly string[];
  readonly onStop: () => void;
}

/** Carries out the requests of clients: networks, members, and the state that outlives the process. */
export class Daemon implements Methods {
  readonly #context: DaemonContext;
  readonly #networks: Networks;
  readonly #members: Members;
  readonly #server: Server;
  /** The clients whose end is the end of a member, by the members' ids. */
  readonly #clients = new Map<string, Client>();
  readonly #holders = new TapHolders();
  readonly #warnings: string[] = [];
  /** Why the networks of the daemon before are gone; null: they are not, or the user has made others since. */
  #loss: string | null;
  /** Whether changes are written: not while the state is restored, nor at the end, when threads and clients go. */
  #isSaving = false;
  /** Resolves when networks and members of the daemon before are back; no request is answered earlier. */
  readonly restored: Promise<void>;
  readonly #returning: Returning;

  /** @throws UserError when another daemon runs, or the socket cannot be made */
  constructor(context: DaemonContext) {
    this.#context = context;
    const { loop, plane, store, paths } = context;
    takeLocks(paths);
    const { state, warning } = readState(paths.state);
    this.#loss = warning;
    for (const each of context.warnings) this.#warn(each);
    if (warning !== null) this.#warn(warning);
    this.#networks = new Networks(plane);
    this.#members = new Members({
      loop,
      plane,
      store,
      networks: this.#networks,
      onChange: () => this.#saveQuietly(),
      // The client connects and joins again, as after the end of a daemon.
      onLost: ({ id }) => this.#clients.get(id)?.drop(),
      onDetached: (member, attachment) => this.#onDetached(member, attachment),
      onPorts: ({ id, publishing: ports }) => this.#holders.tell(id, { kind: "published", ports }),
      onServedAgain: (member) => this.#publishAgain(member, member.publishing),
    });
    // After a crash the supervisor still runs, and has the TAPs.
    const vouched = context.isRestarted ? new Map() : takeVouched(paths.stayed, context.writable);
    this.restored = this.#restore(state, vouched);
    this.#returning = new Returning(this.#members.all);
    this.#server = new Server(paths.socket, context.listener, loop, this, context.audience);
  }

  close(): void {
    this.#isSaving = false;
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
      if (!this.#isPrompt(method, params, client)) await this.#returning.over;
      const carryOut: Handlers[M] = this.#handlers[method];
      const result = await carryOut(params, client, passed);
      // The change holds in all threads, for every frame from now on, before the client hears of it.
      await this.#context.plane.settled();
      await this.#context.store.settled();
      if (method === "stop") setImmediate(this.#context.onStop);
      return result;
    } finally {
      if (passed !== null) native.close(passed);
    }
  }

  /** Whether a request is answered before all members are back: those by which they come back are. */
  #isPrompt<M extends Method>(method: M, params: Params<M>, { members }: Client): boolean {
    if (method === "status" || method === "stop" || members.size > 0) return true;
    return "id" in params && this.#returning.has(params.id);
  }

  /** Whoever asks for a network hears of the loss: an empty list would say that there never were any. */
  warningsFor(method: string): readonly string[] {
    const isAboutNetworks = method !== "status" && method !== "stop";
    return this.#loss !== null && isAboutNetworks ? [this.#loss] : [];
  }

  onClientGone(client: Client): void {
    for (const { member, network } of client.pending.values()) {
      this.#members.abandon(member, network);
    }
    for (const id of client.members) {
      this.#clients.delete(id);
      this.#returning.remove(id);
      this.#holders.remove(id);
      const member = this.#members.all.find((each) => each.id === id);
      if (member !== undefined) this.#members.remove(member, true);
    }
  }

  readonly #handlers: Handlers = {
    ...clusterless,
    status: () => this.#status(),
    // call() stops the daemon after the answer.
    stop: () => ({}),
    "network.create": (spec) => this.#createNetwork(spec),
    "network.list": () => [
      ...this.#networks.virtual.map(emptyReport),
      ...this.#networks.all.map((network) => this.#report(network)),
    ],
    "network.inspect": ({ name }) => this.#inspect(name),
    "network.remove": async ({ name }) => {
      await this.#members.ended(this.#networks.getRemovable(name));
      return this.#removeNetwork(this.#networks.getRemovable(name));
    },
    "network.prune": async ({ only }) => {
      await this.#members.ended(null);
      return this.#prune(only);
    },
    "member.list": () => this.#listMembers(),
    "member.join": (spec, client) => this.#join(spec, client),
    "member.attach": (params, client, passed) => this.#attach(params, client, passed),
    "member.publish": (params, _client, passed) => this.#publish(params, passed),
    "member.api": async ({ member, network }, _client, passed) => {
      // #syscalls daemon: getsockopt(1=SOL_SOCKET;2=SO_PEERCRED)
      if (passed === null || !isUserOrRoot(native.peerUid(passed))) {
        throw new UserError("member.api: no UNIX socket came along");
      }
      await this.#members.serveApi(this.#members.get(member), network, passed);
      return {};
    },
    "member.disconnect": (params) => this.#disconnect(params),
    "member.locate": (params) => this.#locate(params),
    "member.started": ({ member: name, namespace }, client) => {
      const member = this.#members.get(name);
      // Of another client's member nobody else knows: a run that joins again may be on one that was made meanwhile.
      if (!this.#holders.start(member.id, client)) return {};
      member.namespace = namespace;
      this.#saveQuietly();
      this.#returning.remove(member.id);
      return {};
    },
    "member.confirm": ({ serial }, client) => {
      this.#holders.confirm(client, serial);
      return {};
    },
  };

  #status(): DaemonStatus {
    return {
      version: manifest.version,
      protocol: PROTOCOL_VERSION,
      pid: process.pid,
      namespace: namespaceId(netnsOf("self")),
      networks: this.#networks.custom.length,
      members: this.#members.all.length,
      servesContainers: this.#context.audience === "containers",
      settings: this.#context.settings,
      warnings: this.#warnings,
      cluster: null,
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
    this.#loss = null;
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

  #inspect(name: string): Results["network.inspect"] {
    const virtual = findByName(this.#networks.virtual, name);
    return virtual === undefined ? this.#report(this.#networks.get(name)) : emptyReport(virtual);
  }

  /** @param only ids; null: all that are unused */
  #prune(only: readonly string[] | null): readonly string[] {
    const unused = this.#networks.unused.filter(({ id }) => only?.includes(id) ?? true);
    for (const network of unused) this.#removeNetwork(network);
    return unused.map(({ name }) => name);
  }

  #join(spec: Params<"member.join">, client: Client): GivenMember {
    const before = this.#members.all.filter(({ awaitedIn }) => awaitedIn === null);
    const given = this.#members.join(spec);
    const member = given.id;
    for (const { network } of given.attachments) {
      client.pending.set(`${member} ${network}`, { member, network });
    }
    // Attachments that are added to a member end with that member, whoever added them.
    if (!spec.stays && before.every(({ id }) => id !== member)) {
      client.members.add(given.id);
      this.#clients.set(given.id, client);
      if (spec.keepsTaps) {
        this.#holders.add(member, client);
        this.#members.get(member).client = client.process();
      }
    }
    return given;
  }

  async #listMembers(): Promise<Results["member.list"]> {
    const statistics = await this.#context.plane.statistics();
    return this.#members.all.map((member) => memberReport(member, statistics));
  }

  async #attach(
    params: Params<"member.attach">,
    client: Client,
    passed: number | null,
  ): Promise<Record<string, never>> {
    if (passed === null) throw new UserError("member.attach: no TAP came along");
    const attachment = await this.#members.attach(params, passed);
    client.pending.delete(`${params.member} ${params.network}`);
    const member = this.#members.get(params.member);
    if (!this.#holders.isElsewhere(member.id, client)) return {};
    const auto = needsAuto(member);
    const event = { kind: "attached", attachment: attachment.given, auto } as const;
    this.#holders.tell(member.id, event, passed);
    if (auto) await this.#holders.whenConfirmed(member.id);
    return {};
  }

  async #disconnect({ network, member: name }: Params<"member.disconnect">): Promise<Disconnected> {
    const member = this.#members.get(name);
    const attachment = await this.#members.disconnect(member, this.#networks.get(network));
    const isGone = await this.#holders.whenConfirmed(member.id);
    const { client: pid } = member;
    const { ifname } = attachment;
    if (isGone || pid === null || ifname === null) return { kept: null };
    return { kept: { member: member.name, ifname, pid } };
  }

  #onDetached(member: Member, attachment: Attachment): void {
    if (member.autoBy === attachment) member.autoBy = null;
    const network = attachment.network.name;
    this.#holders.tell(member.id, { kind: "detached", network, auto: needsAuto(member) });
  }

  async #locate({
    name,
    process: pid,
    waits,
  }: Params<"member.locate">): Promise<LocatedMember | null> {
    const named = name === null ? undefined : this.#members.byName(name);
    const member = named ?? (pid === null ? undefined : this.#members.byProcess(pid));
    if (member === undefined) return null;
    if (waits && !(await this.#holders.whenStarted(member.id))) {
      throw new UserError(`member ${member.name} is still being started: try again`);
    }
    if (waits && member.awaitedIn !== null) throw new UserError(notBack(member));
    const { id, namespace } = member;
    return {
      id,
      name: member.name,
      pid: namespace?.pid ?? null,
      netns: namespace?.netns ?? null,
    };
  }

  async #publish(
    params: Params<"member.publish">,
    listening: number | null,
  ): Promise<readonly string[]> {
    const member = this.#members.get(params.member);
    member.wantsAuto ||= params.auto !== null;
    const attachment = this.#members.outboundAttachment(member);
    const by = outboundAttachmentOf(member);
    // By then the host's ports of members that have gone are free.
    await this.#context.plane.settled();
    const lines = await attachment.publish({ ports: params.ports, auto: params.auto, listening });
    // An attachment that was ended meanwhile has taken the ports along: the next one gets them, if there is one.
    if (by === undefined || !member.attachments.includes(by))
      return this.#publish(params, listening);
    if (params.auto !== null) member.autoBy = by;
    return lines;
  }

  #report(network: Network): Results["network.inspect"] {
    return networkReport(network, this.#members.on(network));
  }

  /** Entering namespaces again comes before the first await: the lock-down follows. */
  async #restore(state: State, vouched: VouchedNamespaces): Promise<void> {
    await restore(state, {
      networks: this.#networks,
      members: this.#members,
      store: this.#context.store,
      vouched,
      publish: (member, ports) => this.#publishAgain(member, ports),
    });
    this.#isSaving = true;
  }

  /** A port that cannot be published costs no other. */
  async #publishAgain({ id: member }: Member, ports: readonly string[]): Promise<void> {
    for (const port of ports) {
      try {
        await this.#publish({ member, ports: [port], auto: null }, null);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.#warn(error.message);
      }
    }
  }

  /** @throws UserError when it cannot be written */
  #save(isDurable = true): void {
    if (!this.#isSaving) return;
    writeState(this.#context.paths.state, this.#networks.all, this.#members.all, isDurable);
  }

  /** After a change that cannot be undone: a full disk is a warning. */
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
