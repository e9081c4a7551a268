import { Epoll, Errno } from "./constants.js";
import { native } from "./native.js";
import type { Watcher } from "./sockets/line-socket.js";
import * as abi from "./tap-store-abi.js";

/** struct store_message: the kind, and the name. */
const NAME_OFFSET = 4;

interface Message {
  readonly kind: number;
  /** As hexadecimal text. */
  readonly name: string;
  /** A handle of its own; null: none goes along. */
  readonly tap: number | null;
}

/**
 * Keeps TAPs with the supervisor, so that they outlive this process (native/launcher/supervisor/store.h). Names have
 * 128 hexadecimal digits. One message is outstanding at a time, so the socket always has room for it.
 */
export class TapStore {
  readonly #watcher: Watcher;
  /** null: there is no supervisor, and no TAP outlives us. */
  #fd: number | null;
  readonly #onRefused: () => void;
  readonly #received = new Uint8Array(NAME_OFFSET + abi.NAME_LENGTH);
  readonly #queue: Message[] = [];
  #sent: Message | null = null;
  readonly #inherited = new Map<string, number>();
  readonly #allInherited = Promise.withResolvers<ReadonlyMap<string, number>>();
  #isSettled = Promise.withResolvers<void>();

  /**
   * @param fd our end of the socket, which the store owns from now on; null: no supervisor
   * @param onRefused called when a TAP is not kept, as there are too many
   */
  constructor(fd: number | null, watcher: Watcher, onRefused: () => void) {
    this.#watcher = watcher;
    this.#fd = fd;
    this.#onRefused = onRefused;
    this.#isSettled.resolve();
    if (fd === null) this.#allInherited.resolve(this.#inherited);
    else watcher.watch(fd, Epoll.In, () => this.#receive());
  }

  /** The TAPs that the previous daemon kept, as handles by name. The caller owns those that it takes. */
  get inherited(): Promise<ReadonlyMap<string, number>> {
    return this.#allInherited.promise;
  }

  /** Replaces a TAP of the same name. @param tap stays the caller's */
  keep(name: string, tap: number): void {
    if (this.#fd === null) return;
    const copy = native.copyFd(tap);
    if (copy < 0) this.#onRefused();
    else this.#push({ kind: abi.KEEP, name, tap: copy });
  }

  drop(name: string): void {
    if (this.#fd !== null) this.#push({ kind: abi.DROP, name, tap: null });
  }

  /** Resolves when the supervisor has carried out all previous calls. */
  settled(): Promise<void> {
    return this.#isSettled.promise;
  }

  #push(message: Message): void {
    if (this.#sent === null && this.#queue.length === 0) {
      this.#isSettled = Promise.withResolvers();
    }
    this.#queue.push(message);
    if (this.#sent === null) this.#sendNext();
  }

  #sendNext(): void {
    const message = this.#queue.shift() ?? null;
    this.#sent = message;
    if (message === null || this.#fd === null) {
      // Node runs promise callbacks only outside of the loop's wake-up.
      setImmediate(this.#isSettled.resolve);
      return;
    }
    const bytes = Buffer.alloc(NAME_OFFSET + abi.NAME_LENGTH);
    bytes.writeUInt32LE(message.kind);
    bytes.write(message.name, NAME_OFFSET, "hex");
    const sent = native.sendPassing(this.#fd, bytes, message.tap);
    if (message.tap !== null) native.close(message.tap);
    if (sent < 0) this.#end();
  }

  #receive(): void {
    while (this.#fd !== null) {
      const came = native.receivePassed(this.#fd, this.#received);
      if (came === -Errno.EAGAIN) return;
      if (typeof came === "number" || came.length < this.#received.length) this.#end();
      else this.#take(came.passed);
    }
  }

  #take(passed: number): void {
    const bytes = Buffer.from(this.#received);
    const name = bytes.toString("hex", NAME_OFFSET);
    switch (bytes.readUInt32LE()) {
      case abi.KEEP:
        // Without one where there was no room for it (SCM_RIGHTS, unix(7)).
        if (passed >= 0) this.#inherited.set(name, passed);
        return;
      case abi.END:
        setImmediate(() => this.#allInherited.resolve(this.#inherited));
        return;
      case abi.REFUSED:
        if (this.#sent?.kind === abi.KEEP) this.#onRefused();
        this.#sendNext();
        return;
      case abi.DONE:
        this.#sendNext();
    }
  }

  /** Without the supervisor nothing outlives us. */
  #end(): void {
    if (this.#fd === null) return;
    this.#watcher.unwatch(this.#fd);
    native.close(this.#fd);
    this.#fd = null;
    for (const { tap } of this.#queue.splice(0)) if (tap !== null) native.close(tap);
    this.#sendNext();
    setImmediate(() => this.#allInherited.resolve(this.#inherited));
  }
}
