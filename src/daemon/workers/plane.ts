import type { DescriptorQuotas } from "../../admission/descriptors.js";
import { logText, UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type {
  ApiClientConfig,
  AttachmentConfig,
  AttachmentStatistics,
  Fact,
  FromWorker,
  Publication,
  ToWorker,
  TunnelConfig,
  TunnelStatistics,
} from "./messages.js";
import { WorkerCalls } from "./worker-calls.js";

/** How long a thread without attachments is kept, in ms, as the next member may come soon. */
const IDLE_LIMIT = 10_000;

/** How long a thread may take to close its guests' connections, in ms. */
const STOP_LIMIT = 1_000;

/**
 * In place of a network's id: all overlays. They share one thread, as each socket of a tunnel can be read by one only,
 * and that thread keeps the tunnels until it ends.
 */
const OVERLAYS = "overlays";

/** The starter's handle of a thread. */
export interface WorkerLink {
  post(message: ToWorker): void;
  /** Ends it, even if it hangs. */
  end(): void;
}

/** Starts a thread. Its messages and its end come later, outside of wake-ups. */
export type StartWorker = (
  /** The thread's slot in the ledger of descriptors: from 1, as the main thread has 0. */
  slot: number,
  events: {
    readonly onMessage: (message: FromWorker) => void;
    /** @param why it ended; null: it was told to */
    readonly onEnd: (why: string | null) => void;
  },
) => WorkerLink;

/** The quotas of this thread's own guests, and the ledger of all threads. */
export type Descriptors = Pick<DescriptorQuotas, "makeRoom" | "onCrowded" | "ledger">;

/** An attachment that some thread serves. */
export interface ServedAttachment {
  /** Its number in AttachmentStatistics. */
  readonly number: number;
  /** Resolves when the thread serves it. @throws UserError when it cannot */
  readonly isUp: Promise<void>;
  /** @returns a line for each port of the host that was chosen at random @throws UserError */
  publish(publication: Publication): Promise<readonly string[]>;
  /** Answers a client as an API socket does. @param client.socket stays the caller's @throws UserError */
  serveApi(client: ApiClientConfig): Promise<void>;
  /** Ends it. @param isDrained what the member sent last is passed on before */
  detach(isDrained: boolean): Promise<void>;
}

/** What an attachment's thread reports of it. */
export interface AttachmentEvents {
  /**
   * It has ended by itself.
   * @param isLost its thread has died: another thread may serve it
   */
  readonly onGone: (why: string, isLost: boolean) => void;
  /** Ports were published, or are no longer. @param ports all, in the notation of `--publish` */
  readonly onPorts: (ports: readonly string[]) => void;
}

/** A thread, and the attachments that it serves. */
interface NetworkWorker {
  readonly calls: WorkerCalls;
  readonly link: WorkerLink;
  readonly slot: number;
  /** `place`: what is served by the same thread, see #placeOf(). */
  readonly attachments: Map<number, AttachmentEvents & { readonly place: string }>;
  /** Runs while it has no attachment. */
  idle: NodeJS.Timeout | null;
}

/** The threads that serve networks. Each network is served by one of them. */
export class DataPlane {
  readonly #start: StartWorker;
  readonly #mostWorkers: number;
  readonly #descriptors: Descriptors;
  readonly #facts = new Map<string, Fact>();
  readonly #workers = new Set<NetworkWorker>();
  /** Ids of the networks that are overlays. */
  readonly #overlays = new Set<string>();
  /** null: they were not opened. */
  #tunnels: TunnelConfig | null = null;
  /** Sockets of flannel networks, by the networks' ids. */
  readonly #flannels = new Map<string, number>();
  /**
   * The threads of networks, by the networks' ids, from before the first attachment until after the last; that of all
   * overlays until it ends.
   */
  readonly #workerByPlace = new Map<string, NetworkWorker>();
  /** Slots of the ledger that threads have. */
  readonly #slots = new Set<number>();
  /** Whether the thread of the tunnels runs without attachments, too. */
  #keepsTunnels = false;
  #lastAttachment = 0;

  /** @param mostWorkers 1 or more @param descriptors its ledger has a slot for each, and one more */
  constructor(start: StartWorker, mostWorkers: number, descriptors: Descriptors) {
    this.#start = start;
    this.#mostWorkers = mostWorkers;
    this.#descriptors = descriptors;
    descriptors.onCrowded = (isScarce) => this.#makeRoom(isScarce);
  }

  /** Shares descriptors anew, as guests came or went, or one with few was refused one (isScarce). */
  #makeRoom(isScarce: boolean): void {
    this.#descriptors.makeRoom(isScarce);
    for (const { calls } of this.#workers) calls.post({ kind: "make room", isScarce });
  }

  /** Tells a fact to all threads, including later ones. It replaces the fact with the same key. */
  learn(key: string, fact: Fact): void {
    this.#facts.set(key, fact);
    if (fact.kind === "network" && fact.overlay !== null) this.#overlays.add(fact.id);
    for (const { calls } of this.#workers) calls.post({ kind: "learn", key, fact });
  }

  forget(key: string): void {
    const fact = this.#facts.get(key);
    if (fact === undefined) return;
    this.#facts.delete(key);
    if (fact.kind === "network") this.#overlays.delete(fact.id);
    for (const { calls } of this.#workers) calls.post({ kind: "forget", key });
  }

  /** An attachment to that network comes soon: starts its thread. */
  prepare(network: string): void {
    this.#workerOf(network);
  }

  /**
   * Serves an attachment from now on.
   * @param config.tap stays the caller's, who may close it when isUp settles
   */
  attach(config: AttachmentConfig, events: AttachmentEvents): ServedAttachment {
    const worker = this.#workerOf(config.network);
    const { calls, attachments } = worker;
    this.#lastAttachment += 1;
    const attachment = this.#lastAttachment;
    attachments.set(attachment, { ...events, place: this.#placeOf(config.network) });
    this.#keep(worker);
    const forget = (): void => this.#forget(worker, attachment);
    const isUp = calls.call({ name: "attach", params: { attachment, config } }).then(
      () => undefined,
      (error: unknown) => {
        forget();
        throw error;
      },
    );
    return {
      number: attachment,
      isUp,
      publish: (publication) =>
        calls.call({ name: "publish", params: { attachment, publication } }),
      serveApi: async (client) => {
        await calls.call({ name: "serve api", params: { attachment, client } });
      },
      detach: async (isDrained) => {
        const detached = calls.call({ name: "detach", params: { attachment, isDrained } });
        // A thread that has died has ended it.
        await detached.catch(() => undefined);
        forget();
      },
    };
  }

  /**
   * Resolves when all messages so far have taken effect for every attachment. Threads without attachments, which may
   * still be starting, are not waited for: they get these messages before their first attachment.
   */
  async settled(): Promise<void> {
    const busy = [...this.#workers].filter(({ attachments }) => attachments.size > 0);
    await Promise.all(busy.map(({ calls }) => calls.settled()));
  }

  /** Of all attachments, by number. */
  async statistics(): Promise<ReadonlyMap<number, AttachmentStatistics>> {
    const asked = [...this.#workers].map(({ calls }) =>
      // A thread that ends meanwhile has no attachments any more.
      calls.call({ name: "statistics", params: null }).catch(() => []),
    );
    return new Map((await Promise.all(asked)).flat().map((each) => [each.attachment, each]));
  }

  /**
   * From now on overlays reach other hosts, also by a thread that is started again.
   * @param tunnels its descriptors stay the caller's, and open
   * @throws UserError when a thread serves overlays already and cannot open them
   */
  async openTunnels(tunnels: TunnelConfig): Promise<void> {
    this.#tunnels = tunnels;
    const worker = this.#workerByPlace.get(OVERLAYS);
    if (worker !== undefined) await worker.calls.call({ name: "open tunnels", params: tunnels });
  }

  /**
   * From now on a flannel network reaches other hosts, also by a thread that is started again.
   * @param socket stays the caller's, and open until closeFlannel()
   * @throws UserError when a thread serves overlays already and cannot open it
   */
  async openFlannel(network: string, socket: number): Promise<void> {
    this.#flannels.set(network, socket);
    const worker = this.#workerByPlace.get(OVERLAYS);
    const params = { network, socket };
    if (worker !== undefined) await worker.calls.call({ name: "open flannel", params });
  }

  /** Threads have closed theirs when they forget the network. */
  closeFlannel(network: string): void {
    this.#flannels.delete(network);
  }

  /** Whether the tunnels carry more than what attachments send and receive: WireGuard clients of this host do. */
  keepTunnels(isNeeded: boolean): void {
    this.#keepsTunnels = isNeeded;
    const worker = isNeeded ? this.#workerOfPlace(OVERLAYS) : this.#workerByPlace.get(OVERLAYS);
    if (worker === undefined) return;
    if (isNeeded) this.#keep(worker);
    else this.#rest(worker);
  }

  /** What tunnels have done since their thread was started; null: no thread has any. */
  async tunnelStatistics(): Promise<TunnelStatistics | null> {
    const worker = this.#workerByPlace.get(OVERLAYS);
    if (worker === undefined) return null;
    return worker.calls.call({ name: "tunnel statistics", params: null }).catch(() => null);
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    this.#keepsTunnels = false;
    const stopped = [...this.#workers].map((worker) => this.#stop(worker));
    await Promise.all(stopped);
  }

  #workerOf(network: string): NetworkWorker {
    return this.#workerOfPlace(this.#placeOf(network));
  }

  #workerOfPlace(place: string): NetworkWorker {
    const known = this.#workerByPlace.get(place);
    if (known !== undefined) return known;
    const worker = this.#leastBusy() ?? this.#startWorker();
    this.#workerByPlace.set(place, worker);
    if (place === OVERLAYS) this.#reopen(worker);
    return worker;
  }

  /** Networks of one place are served by one thread. */
  #placeOf(network: string): string {
    return this.#overlays.has(network) ? OVERLAYS : network;
  }

  /** @returns null when a further thread is to be started */
  #leastBusy(): NetworkWorker | null {
    const busy = new Set(this.#workerByPlace.values());
    const free = [...this.#workers].find((worker) => !busy.has(worker));
    if (free !== undefined) return free;
    if (this.#workers.size < this.#mostWorkers) return null;
    const [least = null] = [...this.#workers].sort(
      (a, b) => a.attachments.size - b.attachments.size,
    );
    return least;
  }

  #startWorker(): NetworkWorker {
    const slot = this.#takeSlot();
    const link = this.#start(slot, {
      onMessage: (message) => this.#onMessage(worker, message),
      onEnd: (why) => this.#onEnd(worker, why),
    });
    const worker: NetworkWorker = {
      calls: new WorkerCalls(link),
      link,
      slot,
      attachments: new Map(),
      idle: null,
    };
    for (const [key, fact] of this.#facts) worker.calls.post({ kind: "learn", key, fact });
    this.#workers.add(worker);
    this.#rest(worker);
    return worker;
  }

  #takeSlot(): number {
    let slot = 1;
    while (this.#slots.has(slot)) slot += 1;
    this.#slots.add(slot);
    return slot;
  }

  #onMessage(worker: NetworkWorker, message: FromWorker): void {
    if (message.kind === "crowded") {
      this.#makeRoom(message.isScarce);
      return;
    }
    if (message.kind === "ports") {
      worker.attachments.get(message.attachment)?.onPorts(message.ports);
      return;
    }
    if (message.kind !== "gone") {
      worker.calls.onAnswer(message);
      return;
    }
    const gone = worker.attachments.get(message.attachment);
    this.#forget(worker, message.attachment);
    gone?.onGone(message.why, false);
  }

  /** A network without attachments may get another thread the next time. */
  #forget(worker: NetworkWorker, attachment: number): void {
    const { attachments } = worker;
    const gone = attachments.get(attachment);
    if (gone === undefined) return;
    attachments.delete(attachment);
    const isLast = ![...attachments.values()].some(({ place }) => place === gone.place);
    if (isLast && gone.place !== OVERLAYS && this.#workerByPlace.get(gone.place) === worker)
      this.#workerByPlace.delete(gone.place);
    this.#rest(worker);
  }

  #onEnd(worker: NetworkWorker, why: string | null): void {
    this.#leave(worker);
    this.#slots.delete(worker.slot);
    this.#descriptors.ledger.clear(worker.slot);
    this.#makeRoom(false);
    const reason = why ?? "it was stopped";
    if (why !== null) log.error(`a thread that serves networks has ended: ${why}`);
    worker.calls.abandon(new UserError(`the thread that serves the network has ended: ${reason}`));
    const ended = [...worker.attachments.values()];
    worker.attachments.clear();
    for (const { onGone } of ended) onGone(`its thread has ended (${reason})`, true);
    if (this.#keepsTunnels) this.keepTunnels(true);
  }

  #keep(worker: NetworkWorker): void {
    if (worker.idle !== null) clearTimeout(worker.idle);
    worker.idle = null;
  }

  /** Ends a thread that has no attachments for IDLE_LIMIT. */
  #rest(worker: NetworkWorker): void {
    if (worker.attachments.size > 0 || !this.#workers.has(worker)) return;
    if (this.#keepsTunnels && this.#workerByPlace.get(OVERLAYS) === worker) return;
    this.#keep(worker);
    worker.idle = setTimeout(() => void this.#stop(worker), IDLE_LIMIT);
    worker.idle.unref();
  }

  async #stop(worker: NetworkWorker): Promise<void> {
    this.#leave(worker);
    const limit = setTimeout(() => worker.link.end(), STOP_LIMIT);
    await worker.calls.call({ name: "stop", params: null }).catch(() => undefined);
    clearTimeout(limit);
    worker.link.end();
  }

  #leave(worker: NetworkWorker): void {
    this.#keep(worker);
    this.#workers.delete(worker);
    for (const [place, server] of this.#workerByPlace) {
      if (server === worker) this.#workerByPlace.delete(place);
    }
  }

  /** In a thread that is new, before its first attachment. */
  #reopen({ calls }: NetworkWorker): void {
    const failed = (error: unknown): void => {
      log.error(`overlays reach no other host: ${logText(error)}`);
    };
    if (this.#tunnels !== null) {
      calls.call({ name: "open tunnels", params: this.#tunnels }).catch(failed);
    }
    for (const [network, socket] of this.#flannels) {
      calls.call({ name: "open flannel", params: { network, socket } }).catch(failed);
    }
  }
}
