import type { DescriptorQuotas } from "../base/descriptors.js";
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import type { Fact, FromWorker, PortConfig, PortState, Publication, ToWorker } from "./messages.js";
import { WorkerCalls } from "./worker-calls.js";

/** A thread without a port is ended after so long, in ms: the next member may come soon. */
const IDLE_LIMIT = 10_000;

/** So long a thread has for closing its guests' connections, in ms. */
const STOP_LIMIT = 1_000;

/** A thread that serves networks, as its starter knows it. */
export interface WorkerLink {
  post(message: ToWorker): void;
  /** Ends it, whatever it does. */
  end(): void;
}

/** Starts a thread; what it says and its end come later, outside of wake-ups. */
export type StartWorker = (
  /** 1 or more: that of the thread among those that there are. */
  place: number,
  events: {
    readonly onMessage: (message: FromWorker) => void;
    /** @param why it ended; null: it was told to */
    readonly onEnd: (why: string | null) => void;
  },
) => WorkerLink;

/** The descriptors of this thread's own guests, and of all threads. */
export type Descriptors = Pick<DescriptorQuotas, "makeRoom" | "onCrowded" | "ledger">;

/** A place that is served, somewhere. */
export interface PlacedPort {
  /** For PortState. */
  readonly number: number;
  /** @throws UserError when it can't be served */
  readonly isUp: Promise<void>;
  /** @throws UserError for what cannot be had */
  publish(publication: Publication): Promise<readonly string[]>;
  /** Ends it. @param isDrained what the member sent last is passed on before */
  remove(isDrained: boolean): Promise<void>;
}

/**
 * Called when a port has ended by itself.
 * @param isLost with its thread: it may be served again
 */
export type OnPortGone = (why: string, isLost: boolean) => void;

/** A thread, and what is in it. */
interface NetworkWorker {
  readonly calls: WorkerCalls;
  readonly link: WorkerLink;
  readonly place: number;
  readonly ports: Map<number, { readonly network: string; readonly onGone: OnPortGone }>;
  /** Runs while it has no port. */
  idle: NodeJS.Timeout | null;
}

/** Where the networks are served: in threads, each network wholly in one. */
export class DataPlane {
  readonly #start: StartWorker;
  readonly #mostWorkers: number;
  readonly #descriptors: Descriptors;
  readonly #facts = new Map<string, Fact>();
  readonly #workers = new Set<NetworkWorker>();
  /** Of networks, by id, from before their first port until after their last. */
  readonly #places = new Map<string, NetworkWorker>();
  /** Places in the ledger. */
  readonly #taken = new Set<number>();
  #lastPort = 0;

  /** @param mostWorkers 1 or more @param descriptors whose ledger has a place for each, and one more */
  constructor(start: StartWorker, mostWorkers: number, descriptors: Descriptors) {
    this.#start = start;
    this.#mostWorkers = mostWorkers;
    this.#descriptors = descriptors;
    descriptors.onCrowded = (isScarce) => this.#makeRoom(isScarce);
  }

  /** There are more guests, or fewer, or one that has little was refused. */
  #makeRoom(isScarce: boolean): void {
    this.#descriptors.makeRoom(isScarce);
    for (const { calls } of this.#workers) calls.post({ kind: "make room", isScarce });
  }

  /** From now on this is so, in the place of what was said under that key. */
  learn(key: string, fact: Fact): void {
    this.#facts.set(key, fact);
    for (const { calls } of this.#workers) calls.post({ kind: "learn", key, fact });
  }

  forget(key: string): void {
    if (!this.#facts.delete(key)) return;
    for (const { calls } of this.#workers) calls.post({ kind: "forget", key });
  }

  /** A port of that network comes soon: starts what is to serve it. */
  prepare(network: string): void {
    this.#workerOf(network);
  }

  /**
   * Serves a place from now on.
   * @param config.tap stays the caller's; it may be closed when isUp has told
   */
  add(config: PortConfig, onGone: OnPortGone): PlacedPort {
    const worker = this.#workerOf(config.network);
    const { calls, ports } = worker;
    this.#lastPort += 1;
    const port = this.#lastPort;
    ports.set(port, { network: config.network, onGone });
    this.#keep(worker);
    const forget = (): void => this.#forget(worker, port);
    const isUp = calls.call({ name: "add", params: { port, config } }).then(
      () => undefined,
      (error: unknown) => {
        forget();
        throw error;
      },
    );
    return {
      number: port,
      isUp,
      publish: (publication) => calls.call({ name: "publish", params: { port, publication } }),
      remove: async (isDrained) => {
        // A thread that has died has ended it.
        const removed = calls.call({ name: "remove", params: { port, isDrained } });
        await removed.catch(() => undefined);
        forget();
      },
    };
  }

  /**
   * Resolves when all that was said before has taken effect for every port. A thread without one, which may
   * be starting still, hears all of it before its first.
   */
  async settled(): Promise<void> {
    const busy = [...this.#workers].filter(({ ports }) => ports.size > 0);
    await Promise.all(busy.map(({ calls }) => calls.settled()));
  }

  /** Of all ports, by number. */
  async states(): Promise<ReadonlyMap<number, PortState>> {
    const asked = [...this.#workers].map(({ calls }) =>
      // One that ends meanwhile has no ports any more.
      calls.call({ name: "states", params: null }).catch(() => []),
    );
    return new Map((await Promise.all(asked)).flat().map((state) => [state.port, state]));
  }

  /** Ends all. */
  async close(): Promise<void> {
    const stopped = [...this.#workers].map((worker) => this.#stop(worker));
    await Promise.all(stopped);
  }

  #workerOf(network: string): NetworkWorker {
    const known = this.#places.get(network);
    if (known !== undefined) return known;
    const worker = this.#leastBusy() ?? this.#startWorker();
    this.#places.set(network, worker);
    return worker;
  }

  /** null: one more is to be started. */
  #leastBusy(): NetworkWorker | null {
    const busy = new Set(this.#places.values());
    const free = [...this.#workers].find((worker) => !busy.has(worker));
    if (free !== undefined) return free;
    if (this.#workers.size < this.#mostWorkers) return null;
    const [least = null] = [...this.#workers].sort((a, b) => a.ports.size - b.ports.size);
    return least;
  }

  #startWorker(): NetworkWorker {
    const place = this.#freePlace();
    const link = this.#start(place, {
      onMessage: (message) => this.#onMessage(worker, message),
      onEnd: (why) => this.#onEnd(worker, why),
    });
    const worker: NetworkWorker = {
      calls: new WorkerCalls(link),
      link,
      place,
      ports: new Map(),
      idle: null,
    };
    for (const [key, fact] of this.#facts) worker.calls.post({ kind: "learn", key, fact });
    this.#workers.add(worker);
    this.#rest(worker);
    return worker;
  }

  #freePlace(): number {
    let place = 1;
    while (this.#taken.has(place)) place += 1;
    this.#taken.add(place);
    return place;
  }

  #onMessage(worker: NetworkWorker, message: FromWorker): void {
    if (message.kind === "crowded") {
      this.#makeRoom(message.isScarce);
      return;
    }
    if (message.kind !== "gone") {
      worker.calls.onAnswer(message);
      return;
    }
    const gone = worker.ports.get(message.port);
    this.#forget(worker, message.port);
    gone?.onGone(message.why, false);
  }

  /** A network without a port may be elsewhere the next time. */
  #forget(worker: NetworkWorker, port: number): void {
    const { ports } = worker;
    const gone = ports.get(port);
    if (gone === undefined) return;
    ports.delete(port);
    const isLast = ![...ports.values()].some(({ network }) => network === gone.network);
    if (isLast && this.#places.get(gone.network) === worker) this.#places.delete(gone.network);
    this.#rest(worker);
  }

  #onEnd(worker: NetworkWorker, why: string | null): void {
    this.#leave(worker);
    this.#taken.delete(worker.place);
    this.#descriptors.ledger.clear(worker.place);
    this.#makeRoom(false);
    const reason = why ?? "it was stopped";
    if (why !== null) log.error(`a thread that serves networks has ended: ${why}`);
    worker.calls.abandon(new UserError(`the thread that serves the network has ended: ${reason}`));
    const ended = [...worker.ports.values()];
    worker.ports.clear();
    for (const { onGone } of ended) onGone(`its thread has ended (${reason})`, true);
  }

  #keep(worker: NetworkWorker): void {
    if (worker.idle !== null) clearTimeout(worker.idle);
    worker.idle = null;
  }

  /** Ends a thread that has had no port for a while. */
  #rest(worker: NetworkWorker): void {
    if (worker.ports.size > 0 || !this.#workers.has(worker)) return;
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
    for (const [network, place] of this.#places) {
      if (place === worker) this.#places.delete(network);
    }
  }
}
