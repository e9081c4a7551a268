import { type Mirror, type MirrorEvents, openMirror } from "../../store/mirror.js";
import { CALL_LIMIT, type Store, StoreError } from "../../store/store.js";

/** Several prefixes that are followed together. */
export class Mirrors {
  readonly #store: Store;
  readonly #mirrors: readonly Mirror[];
  /** Prefixes that have not been read yet. */
  #unread: number;
  #why: StoreError | null = null;
  #waiting: (() => void)[] = [];

  constructor(
    store: Store,
    prefixes: readonly string[],
    events: Pick<MirrorEvents, "onPut" | "onDelete">,
  ) {
    this.#store = store;
    this.#unread = prefixes.length;
    this.#mirrors = prefixes.map((prefix) => this.#open(prefix, events));
  }

  /** Resolves when all have been read. @throws StoreError when that takes too long */
  async current(): Promise<void> {
    if (this.#unread === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      timer = setTimeout(resolve, CALL_LIMIT);
    });
    clearTimeout(timer);
    if (this.#unread === 0) return;
    throw this.#why ?? new StoreError("unreachable", `${this.#store.place} does not answer`);
  }

  close(): void {
    for (const mirror of this.#mirrors) mirror.close();
    this.#release();
  }

  #open(prefix: string, events: Pick<MirrorEvents, "onPut" | "onDelete">): Mirror {
    let isRead = false;
    return openMirror(this.#store, prefix, {
      ...events,
      onState: (state, why) => {
        this.#why = why;
        if (state !== "current" || isRead) return;
        isRead = true;
        this.#unread -= 1;
        if (this.#unread === 0) this.#release();
      },
    });
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
