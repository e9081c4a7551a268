import { type Address, LOOPBACK } from "../../base/address.js";
import { DropReason } from "../../base/drop.js";
import type { EngineFigures, Uploads } from "../../engine/engine.js";
import type { PublishedRule } from "../../nat/published-port.js";
import { Errno, Socket, STREAM_EVENTS } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { type Accepted, connectSocket, resetSocket } from "../../sys/sockets/socket.js";
import { DOMAIN, type LoopbackContext } from "./context.js";
import type { Connection, LinkTable } from "./links.js";
import { PipePool, SplicedConnection } from "./splice.js";

/** The TCP connections of one guest's clients to its loopback. */
export class LoopbackConnections {
  readonly #context: LoopbackContext;
  readonly #links: LinkTable;
  readonly #pipes: PipePool;
  /** Ids of connections with more to move than their turn allowed. */
  #ready: number[] = [];
  #count = 0;
  /** Bytes since the beginning, to the clients and to the guest. */
  #outwards = 0;
  #inwards = 0;
  #reported = 0;

  constructor(context: LoopbackContext, links: LinkTable) {
    this.#context = context;
    this.#links = links;
    this.#pipes = new PipePool(context.quota);
  }

  /** Two for each connection, and those of the pipes. */
  get descriptors(): number {
    return 2 * this.#count + this.#pipes.descriptors;
  }

  /** Whether turn() has something to move. */
  get hasMore(): boolean {
    return this.#ready.length > 0;
  }

  /** @returns bytes moved since the last call */
  takeMoved(): number {
    const moved = this.#outwards + this.#inwards - this.#reported;
    this.#reported += moved;
    return moved;
  }

  addFigures(figures: EngineFigures): void {
    const isInbound = this.#context.direction === "inbound";
    figures.tcpBytesFromGuest += isInbound ? this.#outwards : this.#inwards;
    figures.tcpBytesToGuest += isInbound ? this.#inwards : this.#outwards;
  }

  addUploads(uploads: Uploads): void {
    for (const link of this.#links.values()) {
      if (link.kind !== "connection") continue;
      const { isOpen, isBlocked } = link.spliced.upload;
      if (isOpen) uploads.open += 1;
      uploads.blocked ||= isBlocked;
    }
    uploads.sent += this.#outwards;
  }

  /** Joins a client to the guest's server; resets it when the server refuses, or at a limit. */
  connect(client: Accepted, rule: PublishedRule, now: number): void {
    const untried = addressesFor(rule);
    const { limits, drops, quota } = this.#context;
    const hasRoom = this.#count < limits.flows && quota.mayOpen(2);
    const inside = hasRoom ? this.#dial(untried, rule) : -Errno.ENFILE;
    if (inside < 0) {
      const isRefused = inside === -Errno.ECONNREFUSED;
      drops.count(isRefused ? DropReason.GuestUnreachable : DropReason.LimitFlows);
      resetSocket(client.fd);
      return;
    }
    native.setsockopt(client.fd, Socket.LevelTcp, Socket.NoDelay, 1);
    const spliced = new SplicedConnection(this.#pipes, client.fd, inside);
    const kind = "connection" as const;
    const id = this.#links.add({ kind, rule, spliced, untried, since: now, queued: false });
    this.#count += 1;
    const isWatched =
      this.#links.watch(id, false, client.fd, STREAM_EVENTS) &&
      this.#links.watch(id, true, inside, STREAM_EVENTS);
    if (!isWatched) this.#reset(id, spliced);
  }

  onEvents(id: number, link: Connection, isInside: boolean, events: number): void {
    if (link.spliced.note(isInside, events)) {
      this.#transfer(id, link);
    } else if (isInside && !link.spliced.isConnected) {
      this.#tryNext(id, link);
    } else {
      this.#reset(id, link.spliced);
    }
  }

  /** Gives a turn to every connection that had more to move. */
  turn(): void {
    const ready = this.#ready;
    if (ready.length > 0) this.#ready = [];
    for (const id of ready) {
      const link = this.#links.at(id);
      if (link?.kind !== "connection") continue;
      link.queued = false;
      this.#transfer(id, link);
    }
  }

  /** Resets the connections of a rule. */
  endOf(rule: number): void {
    this.#links.forEach((link, id) => {
      if (link.kind === "connection" && link.rule.id === rule) this.#reset(id, link.spliced);
    });
  }

  close(): void {
    this.#links.forEach((link) => {
      if (link.kind === "connection") link.spliced.close();
    });
    this.#ready = [];
    this.#pipes.close();
  }

  /**
   * Takes addresses off `untried` until a socket of the guest connects, or is connecting, to one.
   * @returns that socket, or a negative errno
   */
  #dial(untried: Address[], { guestPort }: PublishedRule): number {
    let error = -Errno.ECONNREFUSED;
    for (let address = untried.shift(); address !== undefined; address = untried.shift()) {
      const fd = this.#context.makeSocket(DOMAIN[address.family], Socket.Stream, 0);
      error = fd < 0 ? fd : connectSocket(fd, address, guestPort);
      if (error >= 0 || error === -Errno.EINPROGRESS) {
        native.setsockopt(fd, Socket.LevelTcp, Socket.NoDelay, 1);
        return fd;
      }
      if (fd >= 0) native.close(fd);
    }
    return error;
  }

  #tryNext(id: number, { spliced, untried, rule }: Connection): void {
    const inside = this.#dial(untried, rule);
    if (inside < 0) {
      this.#reset(id, spliced);
      return;
    }
    spliced.replaceInside(inside);
    if (!this.#links.watch(id, true, inside, STREAM_EVENTS)) this.#reset(id, spliced);
  }

  #transfer(id: number, link: Connection): void {
    const before = link.spliced.volume;
    const progress = link.spliced.transfer();
    const { outwards, inwards } = link.spliced.volume;
    this.#outwards += outwards - before.outwards;
    this.#inwards += inwards - before.inwards;
    if (progress === "over") {
      this.#remove(id);
    } else if (progress === "more" && !link.queued) {
      link.queued = true;
      this.#ready.push(id);
    }
  }

  #reset(id: number, spliced: SplicedConnection): void {
    spliced.reset();
    this.#remove(id);
  }

  #remove(id: number): void {
    this.#links.remove(id);
    this.#count -= 1;
  }
}

/** Servers on "localhost" often listen on 127.0.0.1 only, while clients try ::1 first. */
function addressesFor({ guest, otherwise }: PublishedRule): Address[] {
  if (otherwise !== undefined) return [guest, otherwise];
  return guest.family === 6 && guest.isLoopback ? [guest, LOOPBACK[4]] : [guest];
}
