import { monotonicMs } from "../base/clock.js";
import { logText } from "../base/errors.js";
import { log } from "../base/log.js";
import type { Loop } from "../loop/loop.js";
import { Epoll, Errno, Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { type Answer, refusal } from "./answers.js";
import { answer, parseRequest } from "./requests.js";
import type { ApiFigures, Subject } from "./subject.js";
import type { TimeShare } from "./time-share.js";

/** Longest request, in bytes. slirp4netns reads 4096 bytes at once, and rejects a request of that length. */
const MOST_REQUEST = 4095;
/** The same where pesto may ask: its command line may have many ports. */
const MOST_WITH_PESTO = 65_535;

/** Time limit for a client to send its request, and to receive a part of the answer, in ms. */
const TIME_LIMIT = 5_000;

const NOTHING = Buffer.alloc(0);

/** Buffer for read(2), shared by all clients. */
const received = Buffer.alloc(MOST_REQUEST + 1);

/** Shared by the clients of a server. */
export interface ClientContext {
  readonly loop: Loop;
  readonly subject: Subject;
  readonly figures: ApiFigures;
  readonly share: TimeShare;
  readonly onClosed: (client: Client) => void;
}

/**
 * One client: it sends a request, receives the answer, and is closed. If it has not closed its side by then, it gets
 * time to do so, as data that reaches a closed socket would reset the connection before it has read the answer.
 */
export class Client {
  readonly #fd: number;
  readonly #context: ClientContext;
  #request = NOTHING;
  /** Whether the client has closed its side. */
  #ended = false;
  /** The remaining parts of the answer; null before there is an answer, and when all have been sent. */
  #parts: Iterator<string> | null = null;
  /** The unsent rest of the current part. */
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

  /** Serves a request that has arrived already. */
  start(): void {
    this.#onEvents(Epoll.In);
  }

  /** Whether the client has exceeded its time limit. */
  isLate(now: number): boolean {
    return now >= this.#deadline;
  }

  close(): void {
    const { loop, onClosed } = this.#context;
    // An unfinished answer undoes its changes (addAll in forwards.ts).
    this.#parts?.return?.();
    this.#parts = null;
    loop.unwatch(this.#fd);
    native.close(this.#fd);
    onClosed(this);
  }

  /**
   * A client that must wait for its turn gets the event again, as events are level-triggered; its time limit starts
   * anew.
   */
  #onTurn(events: number): void {
    const { share } = this.#context;
    if (!share.begin()) {
      this.#renew();
      return;
    }
    this.#onEvents(events);
    share.end();
  }

  /** An error of ours costs this client its answer, and does not end the network. */
  #onEvents(events: number): void {
    try {
      this.#serve(events);
    } catch (error) {
      log.error("API: a request failed: %s", logText(error));
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
    const { subject, figures } = this.#context;
    if (this.#request.length > (subject.pesto === undefined ? MOST_REQUEST : MOST_WITH_PESTO)) {
      this.#respond([refusal("too large message")]);
      return;
    }
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

  /** Sends one part per wake-up, so that packets are handled in between. */
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
