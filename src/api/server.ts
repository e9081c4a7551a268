import { lstatSync, unlinkSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import type { Loop } from "../loop.js";
import { Epoll, Errno } from "../sys/constants.js";
import {
  acceptLocal,
  connectLocal,
  LONGEST_SOCKET_PATH,
  listenLocal,
} from "../sys/local-socket.js";
import { native } from "../sys/native.js";
import { Client } from "./client.js";
import type { Subject } from "./subject.js";

/** At so many the oldest goes first. */
const MOST_CLIENTS = 256;

/** Clients taken per wake-up: mostly their requests are there already, and are answered at once. */
const ACCEPT_BATCH = 16;

/** Further ones wait in the kernel; it cuts this to net.core.somaxconn. */
const BACKLOG = 4096;

/** How often late clients are looked for, and a listener without descriptors is tried, in ms. */
const LOOK = 500;

/** 0600: whoever may speak here may open ports as this user. */
const UMASK = 0o177;

/**
 * Listens at `path` for requests about a guest, for as long as the process runs. Shares the loop
 * with the packets: a wake-up serves a bounded number of clients, and nothing waits for one.
 * @returns what takes the socket away
 * @throws UserError when the path cannot be listened at
 */
export function serveApi(path: string, loop: Loop, subject: Subject): () => void {
  removeStale(path);
  const listener = listenPrivately(path);
  if (listener < 0) throw new UserError(`API socket ${path}: ${sentenceOf(-listener)}`);
  const server = new ApiServer(listener, loop, subject);
  return () => {
    server.close();
    removeQuietly(path);
  };
}

/** The clients of one socket. */
class ApiServer {
  readonly #listener: number;
  readonly #loop: Loop;
  readonly #subject: Subject;
  /** In the order in which they came. */
  readonly #clients = new Set<Client>();
  #timer: NodeJS.Timeout | null = null;
  #isPaused = false;

  constructor(listener: number, loop: Loop, subject: Subject) {
    this.#listener = listener;
    this.#loop = loop;
    this.#subject = subject;
    loop.watch(listener, Epoll.In, () => this.#accept());
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const client of this.#clients) client.close();
    this.#loop.unwatch(this.#listener);
    native.close(this.#listener);
  }

  #accept(): void {
    for (let count = 0; count < ACCEPT_BATCH; count += 1) {
      const fd = acceptLocal(this.#listener);
      if (fd < 0) {
        if (fd === -Errno.EMFILE || fd === -Errno.ENFILE) this.#pause();
        return;
      }
      this.#serve(fd);
    }
  }

  #serve(fd: number): void {
    if (this.#clients.size >= MOST_CLIENTS)
      for (const oldest of this.#clients.keys()) {
        oldest.close();
        break;
      }
    const client = new Client(fd, {
      loop: this.#loop,
      subject: this.#subject,
      onClosed: (closed) => this.#clients.delete(closed),
    });
    this.#clients.add(client);
    client.start();
    if (this.#clients.size > 0) this.#lookSoon();
  }

  /** Without a descriptor left the listener would report its clients for ever. */
  #pause(): void {
    this.#isPaused = true;
    this.#loop.rewatch(this.#listener, 0);
    this.#lookSoon();
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => this.#look(), LOOK);
  }

  #look(): void {
    this.#timer = null;
    const now = performance.now();
    for (const client of this.#clients) if (client.isLate(now)) client.close();
    if (this.#isPaused) this.#loop.rewatch(this.#listener, Epoll.In);
    this.#isPaused = false;
    if (this.#clients.size > 0) this.#lookSoon();
  }
}

/** The file is made by bind(2), with the rights that the umask leaves. */
function listenPrivately(path: string): number {
  const before = process.umask(UMASK);
  try {
    return listenLocal(path, BACKLOG);
  } finally {
    process.umask(before);
  }
}

/** A socket on which nobody listens is what a killed process has left. */
function removeStale(path: string): void {
  if (!isSocket(path)) return;
  if (isLive(path)) {
    throw new UserError(`API socket ${path} is in use by another process: choose another path`);
  }
  removeQuietly(path);
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
  } catch {
    // ENOTDIR, EACCES: listening tells.
    return false;
  }
}

/** EAGAIN: somebody listens and has no time. EACCES: it is not ours to judge. */
function isLive(path: string): boolean {
  const probe = connectLocal(path);
  if (probe < 0) return probe !== -Errno.ECONNREFUSED;
  native.close(probe);
  return true;
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is gone, or not ours to remove: listening tells.
  }
}

function sentenceOf(errno: number): string {
  switch (errno) {
    case Errno.EADDRINUSE:
      return "the path exists and is not a socket: choose another";
    case Errno.ENOENT:
    case Errno.ENOTDIR:
      return "its directory does not exist: make it";
    case Errno.EACCES:
    case Errno.EPERM:
    case Errno.EROFS:
      return "not permitted to make it there: choose another directory";
    case Errno.ENAMETOOLONG:
      return `the path is too long for a socket: ${LONGEST_SOCKET_PATH} bytes at most`;
    default:
      return `cannot listen (${getSystemErrorName(-errno)}): choose another path`;
  }
}
