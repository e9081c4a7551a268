import { monotonicMs } from "../base/clock.js";
import { log } from "../base/log.js";
import type { Loop } from "../loop/loop.js";
import { Epoll, Errno, Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { type Answer, refusal } from "./answers.js";
import { answer, parseRequest } from "./requests.js";
import type { Share } from "./share.js";
import type { ApiFigures, Subject } from "./subject.js";

/** slirp4netns reads 4096 bytes and takes as many for too many. */
const MOST_REQUEST = 4095;

/** For how long a client may take to send its request, and to take a part of the answer, in ms. */
const TIME_LIMIT = 5_000;

const NOTHING = Buffer.alloc(0);

/** Where requests are received before they are kept: one client's at a time. */
const received = Buffer.alloc(MOST_REQUEST + 1);

/** What clients have in common. */
export interface ClientContext {
  readonly loop: Loop;
  readonly subject: Subject;
  readonly figures: ApiFigures;
  readonly share: Share;
  readonly onClosed: (client: Client) => void;
}

/**
 * One client: it sends a request, gets the answer, and is closed. One that has not ended its own side
 * by then is given time to do so: what it still sends must not meet a closed socket.
 */
export class Client {
  readonly #fd: number;
  readonly #context: ClientContext;
  #request = NOTHING;
  /** The client has ended its side. */
  #ended = false;
  /** The rest of the answer; null until there is one, and when it has been sent. */
  #parts: Iterator<string> | null = null;
  /** Of the part in hand, what the client has not taken. */
  #pending = NOTHING;
  #answered = false;
  #isWatched = false;
  #deadline = 0;

  /** @param fd a non-blocking socket; becomes the client's */
  constructor(fd: number, context: ClientContext) {
    this.#fd = fd;
    this.#context = context;
    this.#renew();
  }

  /** Serves what the client has sent already. */
  start(): void {
    this.#onEvents(Epoll.In);
  }

  /** Whether the client has taken longer than it may. */
  isLate(now: number): boolean {
    return now >= this.#deadline;
  }

  close(): void {
    const { loop, onClosed } = this.#context;
    // An answer that is not finished takes back what it has done.
    this.#parts?.return?.();
    this.#parts = null;
    loop.unwatch(this.#fd);
    native.close(this.#fd);
    onClosed(this);
  }

  /** Who is put off is told again, as events are level-triggered, and is not late for it. */
  #onTurn(events: number): void {
    const { share } = this.#context;
    if (!share.begin()) {
      this.#renew();
      return;
    }
    this.#onEvents(events);
    share.end();
  }

  /** A fault of ours costs the client its answer, and nobody the network. */
  #onEvents(events: number): void {
    try {
      this.#serve(events);
    } catch (error) {
      log.error("API: a request failed: %s", error instanceof Error ? error.stack : error);
      this.close();
    }
  }

  #serve(events: number): void {
    if (this.#parts === null) this.#receive();
    else if ((events & (Epoll.HangUp | Epoll.Error)) !== 0) this.close();
    else this.#send();
  }

  #receive(): void {
    const length = native.readBytes(this.#fd, received);
    if (length === -Errno.EAGAIN) {
      this.#await(Epoll.In);
    } else if (length < 0) {
      this.close();
    } else if (!this.#answered) {
      this.#take(length);
    } else if (length === 0) {
      this.close();
    } else {
      this.#await(Epoll.In);
    }
  }

  #take(length: number): void {
    this.#ended = length === 0;
    if (!this.#ended) this.#request = Buffer.concat([this.#request, received.subarray(0, length)]);
    if (this.#request.length > MOST_REQUEST) {
      this.#respond([refusal("too large message")]);
      return;
    }
    const { subject, figures } = this.#context;
    const text = this.#request.toString();
    const request = parseRequest(text, this.#ended);
    if (request === undefined && !this.#ended) this.#await(Epoll.In);
    else this.#respond(answer(subject, figures, request));
  }

  #respond(parts: Answer): void {
    this.#parts = parts[Symbol.iterator]();
    this.#renew();
    this.#advance();
    if (this.#parts !== null) this.#send();
  }

  /** One part a wake-up, however long the answer is: packets have their turn in between. */
  #send(): void {
    if (this.#pending.length > 0) {
      const written = native.writeBytes(this.#fd, this.#pending);
      if (written < 0 && written !== -Errno.EAGAIN) {
        this.close();
        return;
      }
      if (written > 0) {
        this.#renew();
        this.#pending = this.#pending.subarray(written);
      }
    }
    if (this.#pending.length === 0) this.#advance();
    if (this.#parts !== null) this.#await(Epoll.Out);
  }

  #advance(): void {
    const next = this.#parts?.next();
    if (next === undefined || next.done === true) this.#finish();
    else this.#pending = Buffer.from(next.value);
  }

  #finish(): void {
    this.#parts = null;
    this.#answered = true;
    if (this.#ended) {
      this.close();
      return;
    }
    native.shutdown(this.#fd, Socket.ShutdownWrite);
    this.#receive();
  }

  #await(events: number): void {
    const { loop } = this.#context;
    if (this.#isWatched) loop.rewatch(this.#fd, events);
    else if (loop.watch(this.#fd, events, (seen) => this.#onTurn(seen)) < 0) this.close();
    this.#isWatched = true;
  }

  #renew(): void {
    this.#deadline = monotonicMs() + TIME_LIMIT;
  }
}
