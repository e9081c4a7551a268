import type { Change } from "../store.js";
import { StoreError } from "../store.js";
import { changesOf, parseAnswer, schemas, type Watched } from "./answers.js";
import type { Endpoint } from "./endpoints.js";
import { Refusal, refusalOf, unusable } from "./failure.js";
import type { Gateway } from "./gateway.js";
import { Fault, type Reply } from "./transport.js";

/** Most changes of one revision that are kept until the last of them has come. */
const MOST_CHANGES = 1_000_000;

export interface ChannelEvents {
  /** The store has the watch. */
  readonly onOpen: () => void;
  /** All changes of one revision. */
  readonly onChanges: (changes: readonly Change[], revision: number) => void;
  /** All changes up to that revision have been reported. */
  readonly onProgress: (revision: number) => void;
  readonly onEnd: (why: StoreError) => void;
}

/** One stream of etcd's watch API: JSON lines to changes, until it ends. */
export class Channel {
  /** null: it is not open yet. */
  endpoint: Endpoint | null = null;
  isOpen = false;
  readonly #gateway: Gateway;
  readonly #prefix: string;
  readonly #after: number;
  readonly #events: ChannelEvents;
  #isOver = false;
  #end: () => void = () => undefined;
  /** Changes of a revision, of which more may come. */
  #changes: Change[] = [];
  #revision = 0;

  /**
   * @param body the request
   * @param after the revision that it names
   * @param prefix of the store
   */
  constructor(
    gateway: Gateway,
    body: string,
    after: number,
    prefix: string,
    events: ChannelEvents,
  ) {
    this.#gateway = gateway;
    this.#prefix = prefix;
    this.#after = after;
    this.#events = events;
    const stream = {
      onLine: (line: string) => this.#onLine(line),
      onEnd: (why: Fault | Reply) => this.#over(this.#meaning(why)),
    };
    gateway.open("/v3/watch", body, stream).then(
      ({ endpoint, end }) => {
        this.endpoint = endpoint;
        this.#end = end;
        if (this.#isOver) end();
      },
      (error) => this.#over(gateway.storeError(error)),
    );
  }

  close(): void {
    this.#isOver = true;
    this.#end();
  }

  #onLine(line: string): void {
    if (this.#isOver) return;
    const answer = parseAnswer(schemas.watched, line);
    if (answer === null) this.#over(this.#errorOf(line));
    else this.#take(answer.result);
  }

  #take(result: Watched): void {
    if (result.canceled) {
      this.#over(this.#cancellation(result));
    } else if (result.created) {
      this.#opened(result.header.revision);
    } else if (result.events.length > 0) {
      this.#collect(result);
    } else {
      this.#events.onProgress(result.header.revision);
    }
  }

  #opened(revision: number): void {
    if (revision < this.#after) {
      // Another store than that which told us the revision, as after a restore: it would be silent for long.
      this.#over(this.#compacted("has gone back to an earlier revision"));
      return;
    }
    this.isOpen = true;
    this.#events.onOpen();
  }

  /** Reports each revision when it is whole: in the last fragment, or when the next one begins. */
  #collect({ events, fragment }: Watched): void {
    for (const { change, revision } of changesOf(events, this.#prefix)) {
      if (revision !== this.#revision) this.#flush();
      this.#revision = revision;
      this.#changes.push(change);
    }
    if (this.#changes.length > MOST_CHANGES) {
      this.#over(this.#compacted(`has changed ${MOST_CHANGES} keys at once`));
    } else if (!fragment) {
      this.#flush();
    }
  }

  #flush(): void {
    const [changes, revision] = [this.#changes, this.#revision];
    this.#changes = [];
    if (changes.length > 0 && !this.#isOver) this.#events.onChanges(changes, revision);
  }

  #cancellation({ compact_revision, cancel_reason }: Watched): StoreError {
    if (compact_revision > 0) return this.#compacted("no longer has all changes");
    const { endpoint } = this;
    if (endpoint === null) return new StoreError("unreachable", "a watch has ended");
    const refusal = new Refusal(endpoint, codeOf(cancel_reason), cancel_reason);
    this.#gateway.forgetToken(refusal);
    return this.#gateway.storeError(refusal);
  }

  /** A line that is no answer: an error, or nonsense. */
  #errorOf(line: string): StoreError {
    return this.#meaning({ status: 200, body: line });
  }

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

  #over(why: StoreError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onEnd(why);
  }
}

/** What etcd cancels a watch for has no code (rpctypes.Error): permission, or anything that may pass. */
function codeOf(reason: string): number {
  return reason.includes("permission denied") ? 7 : 14;
}
