import manifest from "../../package.json" with { type: "json" };
import { log } from "../base/log.js";
import type { Loop } from "../loop/loop.js";
import type { DaemonPaths } from "../rpc/daemon-paths.js";
import { type Method, type Params, PROTOCOL_VERSION } from "../rpc/messages.js";
import { namespaceId, netnsOf } from "../rpc/namespaces.js";
import type { DaemonStatus, Results } from "../rpc/reports.js";
import { native } from "../sys/native.js";
import type { Audience } from "../sys/peers/access.js";
import type { TapStore } from "../sys/tap-store.js";
import type { OpenOverlays, Overlays } from "./cluster/overlays.js";
import { Members } from "./members.js";
import { Networks } from "./networks.js";
import { clusterless, type Handlers } from "./requests/handlers.js";
import { MemberRequests } from "./requests/members.js";
import { NetworkRequests } from "./requests/networks.js";
import { Returning } from "./returning.js";
import { type Client, type Methods, Server } from "./server.js";
import { StateKeeper } from "./state/keeper.js";
import { restore } from "./state/restore.js";
import { readState, type State } from "./state/state-file.js";
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
  /** Joins the cluster of a store; null: there is none. */
  readonly openOverlays: OpenOverlays | null;
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
  /** null: there is no cluster. */
  readonly #overlays: Overlays | null;
  readonly #server: Server;
  readonly #keeper: StateKeeper;
  readonly #memberRequests: MemberRequests;
  readonly #handlers: Handlers;
  /** The clients whose end is the end of a member, by the members' ids. */
  readonly #clients = new Map<string, Client>();
  readonly #holders = new TapHolders();
  readonly #warnings: string[] = [];
  /** Why the networks of the daemon before are gone; null: they are not, or the user has made others since. */
  #loss: string | null;
  /** Resolves when networks and members of the daemon before are back; no request is answered earlier. */
  readonly restored: Promise<void>;
  readonly #returning: Returning;

  /**
   * The caller has the daemon's locks.
   * @throws UserError when the socket cannot be made
   */
  constructor(context: DaemonContext) {
    this.#context = context;
    const { loop, plane, store, paths } = context;
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
      onChange: () => this.#keeper.saveQuietly(),
      // The client connects and joins again, as after the end of a daemon.
      onLost: ({ id }) => this.#clients.get(id)?.drop(),
      onDetached: (member, attachment) => this.#memberRequests.onDetached(member, attachment),
      onPorts: ({ id, publishing: ports }) => this.#holders.tell(id, { kind: "published", ports }),
      onServedAgain: (member) => this.#memberRequests.publishAgain(member, member.publishing),
    });
    const networks = this.#networks;
    const members = this.#members;
    const onKept = (): void => this.#keeper.saveQuietly();
    const overlays = context.openOverlays?.({ networks, members, plane, paths, onKept }) ?? null;
    this.#overlays = overlays;
    const lasting = () => ({
      networks: networks.local,
      overlays: overlays?.lasting ?? [],
      members: members.all,
    });
    const warn = (text: string): void => this.#warn(text);
    this.#keeper = new StateKeeper(paths.state, lasting, warn);
    const keeper = this.#keeper;
    // After a crash the supervisor still runs, and has the TAPs.
    const vouched = context.isRestarted ? new Map() : takeVouched(paths.stayed, context.writable);
    this.restored = this.#restore(state, vouched);
    this.#returning = new Returning(members.all);
    const parts = { plane, networks, members, overlays, keeper };
    this.#memberRequests = new MemberRequests({
      ...parts,
      holders: this.#holders,
      returning: this.#returning,
      clients: this.#clients,
      warn,
    });
    const networkRequests = new NetworkRequests({
      ...parts,
      onCreated: () => {
        this.#loss = null;
      },
    });
    this.#handlers = {
      ...(overlays?.handlers ?? clusterless),
      ...networkRequests.handlers,
      ...this.#memberRequests.handlers,
      status: () => this.#status(),
      // call() stops the daemon after the answer.
      stop: () => ({}),
    };
    this.#server = new Server(paths.socket, context.listener, loop, this, context.audience);
  }

  /** Resolves when the store has answered; after a second at the latest, or at once without one. */
  async answered(): Promise<void> {
    await this.#overlays?.answered();
  }

  /** @returns resolves when the cluster knows that this host has gone, or does not hear it */
  async close(): Promise<void> {
    this.#keeper.isSaving = false;
    this.#server.close();
    await this.#overlays?.close();
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

  async #status(): Promise<DaemonStatus> {
    return {
      version: manifest.version,
      protocol: PROTOCOL_VERSION,
      pid: process.pid,
      namespace: namespaceId(netnsOf("self")),
      networks: this.#networks.custom.length,
      members: this.#members.all.length,
      servesContainers: this.#context.audience === "containers",
      settings: this.#context.settings,
      warnings: [...this.#warnings, ...(this.#overlays?.warnings ?? [])],
      cluster: (await this.#overlays?.status()) ?? null,
    };
  }

  /** Entering namespaces again comes before the first await: the lock-down follows. */
  async #restore(state: State, vouched: VouchedNamespaces): Promise<void> {
    const restored = restore(state, {
      networks: this.#networks,
      members: this.#members,
      overlays: this.#overlays,
      store: this.#context.store,
      vouched,
      publish: (member, ports) => this.#memberRequests.publishAgain(member, ports),
    });
    await restored;
    this.#keeper.isSaving = true;
  }

  #warn(warning: string): void {
    log.warn(warning);
    if (!this.#warnings.includes(warning)) this.#warnings.push(warning);
  }
}
