import { monotonicMs } from "../../base/clock.js";
import { CALL_LIMIT, type Change, StoreError } from "../store.js";
import { changesOf, parseAnswer, schemas, type Watched } from "./answers.js";
import type { Endpoint } from "./endpoints.js";
import { Refusal, refusalOf, unusable } from "./failure.js";
import type { Gateway } from "./gateway.js";
import { Fault, type Reply } from "./transport.js";

/** Most changes of one revision that are kept until the last of them has come. */
const MOST_CHANGES = 1_000_000;

/** How long after the first watch of a channel the others may open, in ms: etcd opens all that it has read at once. */
const STRAGGLING = 1_000;

/** A watch, for those who carry it. */
export interface Carried {
  /** Everything up to it has been reported. */
  readonly after: number;
  /** All changes of a revision. */
  take(changes: readonly Change[], revision: number): void;
  /** Nothing has changed up to a revision. */
  progress(revision: number): void;
}

export interface ChannelEvents<W extends Carried> {
  /** The store has the watch. */
  readonly onOpen: (channel: Channel<W>, watch: W) => void;
  /** The store no longer has the watch, or the channel has ended. */
  readonly onEnd: (channel: Channel<W>, watch: W, why: StoreError) => void;
  /** The store has not got the watch; the channel goes on without it. */
  readonly onMissing: (channel: Channel<W>, watch: W) => void;
}

/** One watch of a channel. */
interface Part<W extends Carried> {
  readonly watch: W;
  /** The revision after which it was asked for. */
  readonly after: number;
  isOpen: boolean;
  /** Changes of a revision, of which more may come. */
  changes: Change[];
  revision: number;
}

/**
 * One stream of etcd's watch API, which carries several watches: JSON lines to changes, until it ends.
 *
 * The requests of all its watches are one body, a JSON object each. The gateway reads them one by one, and whatever it
 * has not read when it begins to answer is lost (net/http of Go discards it): a watch that does not open is reported as
 * missing. 600 of 600 bodies with 22 requests were read whole, on two busy cores (m).
 */
export class Channel<W extends Carried> {
  /** null: it is not connected yet. */
  endpoint: Endpoint | null = null;
  /** When something came, in ms of the monotonic clock. */
  heardAt = monotonicMs();
  readonly #gateway: Gateway;
  readonly #prefix: string;
  readonly #events: ChannelEvents<W>;
  /** By their ids. */
  readonly #parts = new Map<number, Part<W>>();
  #timer: NodeJS.Timeout;
  #isOver = false;
  #isOpen = false;
  #end: () => void = () => undefined;

  /**
   * @param requestOf the request for a watch, by an id
   * @param prefix of the store
   */
  constructor(
    gateway: Gateway,
    prefix: string,
    watches: readonly W[],
    requestOf: (watch: W, id: number) => string,
    events: ChannelEvents<W>,
  ) {
    this.#gateway = gateway;
    this.#prefix = prefix;
    this.#events = events;
    const requests = watches.map((watch, i) => {
      const part = { watch, after: watch.after, isOpen: false, changes: [], revision: 0 };
      this.#parts.set(i + 1, part);
      return requestOf(watch, i + 1);
    });
    this.#timer = setTimeout(() => this.#over(this.#late()), CALL_LIMIT);
    void this.#connect(requests.join(""));
  }

  /** Reports a watch no more. Without any it ends. */
  drop(watch: W): void {
    for (const [id, part] of this.#parts) if (part.watch === watch) this.#parts.delete(id);
    if (this.#parts.size === 0) this.close();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#end();
  }

  async #connect(body: string): Promise<void> {
    try {
      const { endpoint, end } = await this.#gateway.open("/v3/watch", body, {
        onLine: (line) => this.#onLine(line),
        onEnd: (why) => this.#over(this.#meaning(why)),
      });
      this.endpoint = endpoint;
      this.#end = end;
      if (this.#isOver) end();
    } catch (error) {
      this.#over(this.#gateway.storeError(error));
    }
  }

  #onLine(line: string): void {
    if (this.#isOver) return;
    this.heardAt = monotonicMs();
    const answer = parseAnswer(schemas.watched, line);
    if (answer === null) {
      this.#over(this.#meaning({ status: 200, body: line }));
      return;
    }
    const { result } = answer;
    const part = this.#partOf(result);
    // One that was dropped.
    if (part !== undefined) this.#take(part, result);
  }

  /** One that etcd refuses has no id of ours; answers come in the order of requests. */
  #partOf({ watch_id, created, canceled }: Watched): Part<W> | undefined {
    if (watch_id >= 0 || !created || !canceled) return this.#parts.get(watch_id);
    return [...this.#parts.values()].find(({ isOpen }) => !isOpen);
  }

  #take(part: Part<W>, result: Watched): void {
    if (result.canceled) {
      this.#partOver(part, this.#cancellation(result));
    } else if (result.created) {
      this.#opened(part, result.header.revision);
    } else if (result.events.length > 0) {
      this.#collect(part, result);
    } else {
      part.watch.progress(result.header.revision);
    }
  }

  #opened(part: Part<W>, revision: number): void {
    if (revision < part.after) {
      // Another store than that which told us the revision, as after a restore: it would be silent for long.
      this.#partOver(part, this.#compacted("has gone back to an earlier revision"));
      return;
    }
    if (!this.#isOpen) {
      this.#isOpen = true;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#miss(), STRAGGLING);
    }
    part.isOpen = true;
    this.#events.onOpen(this, part.watch);
  }

  #miss(): void {
    const missing = [...this.#parts.values()].filter(({ isOpen }) => !isOpen);
    for (const { watch } of missing) {
      this.drop(watch);
      this.#events.onMissing(this, watch);
    }
  }

  /** Reports each revision when it is whole: in the last fragment, or when the next one begins. */
  #collect(part: Part<W>, { events, fragment }: Watched): void {
    for (const { change, revision } of changesOf(events, this.#prefix)) {
      if (revision !== part.revision) flush(part);
      part.revision = revision;
      part.changes.push(change);
    }
    if (part.changes.length > MOST_CHANGES) {
      this.#partOver(part, this.#compacted(`has changed ${MOST_CHANGES} keys at once`));
    } else if (!fragment) {
      flush(part);
    }
  }

  #cancellation({ compact_revision, cancel_reason }: Watched): StoreError {
    if (compact_revision > 0) return this.#compacted("no longer has all changes");
    const { endpoint } = this;
    if (endpoint === null) return new StoreError("unreachable", "a watch has ended");
    const refusal = new Refusal(endpoint, codeOf(cancel_reason), cancel_reason);
    this.#gateway.forgetToken(refusal);
    return this.#gateway.storeError(refusal);
  }

  /** What the end of the stream means, or a line that is no answer: an error, or nonsense. */
  #meaning(why: Fault | Reply): StoreError {
    if (why instanceof Fault) return this.#gateway.storeError(why);
    const { endpoint } = this;
    if (endpoint === null) return new StoreError("unusable", "a watch is answered without sense");
    if (why.status === 200 && parseAnswer(schemas.error, why.body) === null) {
      return unusable(endpoint, "answers a watch without sense");
    }
    return this.#gateway.storeError(refusalOf(endpoint, why));
  }

  #compacted(what: string): StoreError {
    return new StoreError("compacted", `${this.endpoint?.text ?? "the store"} ${what}`);
  }

  #late(): StoreError {
    const where = this.endpoint?.text ?? "the store";
    const why = `${where} does not begin a watch within ${CALL_LIMIT / 1000} s: see whether etcd runs there`;
    return new StoreError("unreachable", why);
  }

  #partOver(part: Part<W>, why: StoreError): void {
    this.drop(part.watch);
    this.#events.onEnd(this, part.watch, why);
  }

  #over(why: StoreError): void {
    if (this.#isOver) return;
    const parts = [...this.#parts.values()];
    this.#parts.clear();
    this.close();
    for (const { watch } of parts) this.#events.onEnd(this, watch, why);
  }
}

function flush(part: Part<Carried>): void {
  const { changes, revision } = part;
  part.changes = [];
  if (changes.length > 0) part.watch.take(changes, revision);
}

/** What etcd cancels a watch for has no code (rpctypes.Error): permission, or anything that may pass. */
function codeOf(reason: string): number {
  return reason.includes("permission denied") ? 7 : 14;
}
