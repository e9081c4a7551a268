import { monotonicMs } from "../base/clock.js";
import type { Loop } from "../loop/loop.js";
import { Client } from "./client.js";
import type { ApiFigures, Subject } from "./subject.js";
import { TimeShare } from "./time-share.js";

/** Interval for closing late clients, in ms. */
const LOOK = 500;

/** The clients that ask about one guest. */
export class ApiClients {
  readonly #loop: Loop;
  readonly #subject: Subject;
  readonly #most: number;
  readonly #figures: ApiFigures = { clients: 0, requests: 0, dropped: 0 };
  /** Oldest first. */
  readonly #clients = new Set<Client>();
  #timer: NodeJS.Timeout | null = null;
  /** Of the loop's time. */
  readonly share: TimeShare;

  /** @param most clients at a time; the oldest is closed for a new one */
  constructor(loop: Loop, subject: Subject, most: number) {
    this.#loop = loop;
    this.#subject = subject;
    this.#most = most;
    this.share = new TimeShare(loop);
  }

  /** @param fd a non-blocking stream socket; becomes the client's */
  serve(fd: number): void {
    if (this.#clients.size >= this.#most) {
      const [oldest] = this.#clients;
      this.#drop(oldest);
    }
    const client = new Client(fd, {
      loop: this.#loop,
      subject: this.#subject,
      figures: this.#figures,
      share: this.share,
      onClosed: (closed) => {
        this.#clients.delete(closed);
        this.#figures.clients -= 1;
      },
    });
    this.#clients.add(client);
    this.#figures.clients += 1;
    client.start();
    if (this.#clients.size > 0) this.#lookSoon();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const client of this.#clients) client.close();
  }

  #drop(client: Client): void {
    this.#figures.dropped += 1;
    client.close();
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => this.#look(), LOOK);
  }

  #look(): void {
    this.#timer = null;
    const now = monotonicMs();
    for (const client of this.#clients) if (client.isLate(now)) this.#drop(client);
    if (this.#clients.size > 0) this.#lookSoon();
  }
}
