import { Epoll, Errno } from "../constants.js";
import { native } from "../native.js";
import { pidOfPeer } from "../peers/peer.js";

const NEWLINE = 0x0a;

/** Most that one read receives, in bytes. */
const CHUNK = 64 * 1024;

/** How much may wait for a peer that does not read, as one that is stopped, in lines of the greatest length. */
const MOST_UNSENT = 8;

const chunk = new Uint8Array(CHUNK);

/** Calls back on events of descriptors: what LineSocket needs of the loop. */
export interface Watcher {
  watch(fd: number, events: number, callback: (events: number) => void): number;
  rewatch(fd: number, events: number): void;
  unwatch(fd: number): void;
}

export interface LineHandlers {
  /** @param passed the descriptor that came with the line; the callee owns it. Null: none. */
  onLine(line: string, passed: number | null): void;
  /**
   * The peer has closed its side, sent a line that was too long, or does not read what is sent. It may still read, so the
   * callee decides when to close(). Called once, never after close().
   */
  onEnd(): void;
}

/** One end of a local stream socket that carries lines of text and descriptors (SCM_RIGHTS). */
export class LineSocket {
  readonly #fd: number;
  readonly #watcher: Watcher;
  readonly #handlers: LineHandlers;
  readonly #longest: number;
  #received: Buffer = Buffer.alloc(0);
  #passed: number | null = null;
  /** Bytes that the peer's socket has had no room for. */
  #unsent: Buffer = Buffer.alloc(0);
  #hasEnded = false;
  #isPeerGone = false;
  #isClosed = false;

  /**
   * @param fd becomes the LineSocket's; close() closes it
   * @param longest most bytes of a line
   */
  constructor(fd: number, watcher: Watcher, longest: number, handlers: LineHandlers) {
    this.#fd = fd;
    this.#watcher = watcher;
    this.#longest = longest;
    this.#handlers = handlers;
    watcher.watch(fd, Epoll.In, (events) => this.#onEvents(events));
  }

  /** The peer's user id, or a negative errno. */
  get peerUid(): number {
    return native.peerUid(this.#fd);
  }

  /** Whether the peer has closed the socket, and hears no answer. It may have sent lines before. */
  get isPeerGone(): boolean {
    return this.#isPeerGone;
  }

  /** The peer's process; null: it is not known, or has ended. */
  get peerPid(): number | null {
    return this.#isClosed ? null : pidOfPeer(this.#fd);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @param passed a descriptor to send with the line; stays the caller's */
  send(line: string, passed: number | null = null): void {
    if (this.#isClosed) return;
    const bytes = Buffer.from(`${line}\n`);
    if (this.#unsent.length > 0) {
      this.#append(bytes);
      return;
    }
    const sent = native.sendPassing(this.#fd, bytes, passed);
    if (sent < 0 && sent !== -Errno.EAGAIN) this.#end();
    else this.#keep(bytes.subarray(Math.max(0, sent)));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#hasEnded) this.#watcher.unwatch(this.#fd);
    native.close(this.#fd);
    if (this.#passed !== null) native.close(this.#passed);
  }

  #append(bytes: Buffer): void {
    if (this.#hasEnded) return;
    if (this.#unsent.length + bytes.length > MOST_UNSENT * this.#longest) this.#end();
    else this.#unsent = Buffer.concat([this.#unsent, bytes]);
  }

  #keep(rest: Buffer): void {
    if (rest.length === 0) return;
    // A peer that has ended gets no more than its socket has room for.
    if (this.#hasEnded) return;
    this.#unsent = Buffer.from(rest);
    this.#watcher.rewatch(this.#fd, Epoll.In | Epoll.Out);
  }

  #onEvents(events: number): void {
    this.#isPeerGone ||= (events & Epoll.HangUp) !== 0;
    if ((events & Epoll.Out) !== 0) this.#flush();
    if (!this.#isClosed && !this.#hasEnded) this.#receive();
  }

  #flush(): void {
    const sent = native.sendPassing(this.#fd, this.#unsent, null);
    if (sent < 0 && sent !== -Errno.EAGAIN) {
      this.#end();
      return;
    }
    this.#unsent = this.#unsent.subarray(Math.max(0, sent));
    if (this.#unsent.length === 0) this.#watcher.rewatch(this.#fd, Epoll.In);
  }

  #receive(): void {
    const came = native.receivePassed(this.#fd, chunk);
    if (came === -Errno.EAGAIN) return;
    if (typeof came === "number" || came.length === 0) {
      this.#end();
      return;
    }
    this.#received = Buffer.concat([this.#received, chunk.subarray(0, came.length)]);
    this.#deliver(came.passed < 0 ? null : came.passed);
    if (this.#received.length > this.#longest) this.#end();
  }

  /**
   * @param last a descriptor that came along. A read ends with the message that brings one (unix(7)), so it belongs to the
   * line that is last, complete or not.
   */
  #deliver(last: number | null): void {
    let taken = last;
    for (;;) {
      const end = this.#received.indexOf(NEWLINE);
      if (end < 0 || this.#isClosed || this.#hasEnded) break;
      const line = this.#received.toString("utf8", 0, end);
      this.#received = this.#received.subarray(end + 1);
      if (this.#received.length === 0 && taken !== null) {
        this.#take(taken);
        taken = null;
      }
      const passed = this.#passed;
      this.#passed = null;
      this.#handlers.onLine(line, passed);
    }
    if (taken !== null) this.#take(taken);
  }

  #take(passed: number): void {
    const dropped = this.#isClosed ? passed : this.#passed;
    if (dropped !== null) native.close(dropped);
    if (!this.#isClosed) this.#passed = passed;
  }

  #end(): void {
    if (this.#isClosed || this.#hasEnded) return;
    this.#hasEnded = true;
    this.#watcher.unwatch(this.#fd);
    this.#handlers.onEnd();
  }
}
