import { NEVER } from "../base/clock.js";
import type { Mac } from "../base/mac.js";
import type { Engine, EngineFigures, Uploads } from "../engine/engine.js";
import type { FlowRecord } from "../nat/flow-record.js";
import type { PublishedRule } from "../nat/published-port.js";
import { StackFault } from "../stack/fault.js";
import { FlowEvent, type FlowTuple, type Stack } from "../stack/stack.js";
import { Epoll } from "../sys/constants.js";
import { localAddress, peerAddress, roundTripTime } from "../sys/sockets/socket.js";
import { TokenKind } from "../sys/token.js";
import type { TcpFlow } from "./flow.js";
import { FlowTable } from "./flow-table.js";
import { Opening, type OpeningContext } from "./opening.js";
import { PublishedConnections } from "./published.js";
import { Pump } from "./pump.js";
import { Scheduler } from "./scheduler.js";

/** What the relay needs of its guest. */
export interface TcpContext extends OpeningContext {
  /** Number of the registered memory of the stack. */
  readonly memory: number;
}

/** A connection and the guest's Ethernet address. */
export interface Connection {
  readonly tuple: FlowTuple;
  readonly mac: Mac;
}

const ENDED = Epoll.HangUp | Epoll.Error;
const READABLE = Epoll.In | Epoll.ReadHangUp | ENDED;

/**
 * Relays the guest's TCP connections over host sockets, driven by events of the stack and of the sockets.
 * flow.ts has the table of states.
 */
export class TcpRelay implements Engine {
  readonly kind = TokenKind.Tcp;
  readonly #stack: Stack;
  readonly #flows: FlowTable;
  readonly #opening: Opening;
  readonly #published: PublishedConnections;
  readonly #scheduler = new Scheduler();
  readonly #pump: Pump;
  /** Of the bytes received, those that takeMoved() has reported. */
  #reported = 0;

  constructor(context: TcpContext) {
    const { stack, config, reports, memory } = context;
    this.#stack = stack;
    this.#flows = new FlowTable(stack, config.limits, reports);
    this.#opening = new Opening(context, this.#flows);
    this.#published = new PublishedConnections(context, this.#flows);
    this.#pump = new Pump(stack, memory, this.#flows, this.#scheduler);
  }

  /** Handles events of one flow that the stack reported. @param events bits of FlowEvent @param now in ms */
  onStackEvents(id: number, events: number, now: number): void {
    if (events & FlowEvent.Syn) {
      if (this.#flows.get(id) !== undefined) throw new StackFault(`flow ${id} begins twice`);
      this.#opening.onSyn(id, now);
    }
    const flow = this.#flows.get(id);
    if (flow === undefined) {
      if (events & FlowEvent.Reset) this.#opening.onReset(id);
      return;
    }
    this.#flows.touch(flow);
    if (events & FlowEvent.Open && !flow.isPublished) this.#opening.onOpen();
    if (events & FlowEvent.Reset) {
      if (flow.connected || !this.#published.tryFallback(flow)) this.#flows.abort(flow);
      return;
    }
    if (events & FlowEvent.Open && !flow.connected) this.#flows.establish(flow);
    if (events & FlowEvent.Closed) flow.stackClosed = true;
    if (events & FlowEvent.Fin) flow.guestEnded = true;
    if (events & (FlowEvent.Data | FlowEvent.Fin | FlowEvent.Closed)) this.#pump.forward(flow);
    if (events & FlowEvent.Space && !flow.ended) this.#pump.onReadable(flow);
  }

  onEvents(id: number, events: number): void {
    const flow = this.#flows.get(id);
    if (flow === undefined) return;
    this.#flows.touch(flow);
    if (!flow.connected && !flow.isPublished) {
      this.#opening.onSocket(flow, events);
      return;
    }
    if (!flow.connected && events & ENDED) {
      this.#flows.abort(flow);
      return;
    }
    if (events & (Epoll.ReadHangUp | ENDED)) flow.hungUp = true;
    if (events & Epoll.Priority) flow.urgent = true;
    if (events & Epoll.Out && !flow.writable) {
      flow.writable = true;
      this.#pump.forward(flow);
    }
    if (events & READABLE) {
      flow.readable = true;
      if (!flow.ended) this.#pump.onReadable(flow);
    }
  }

  /** Gives a turn to held SYNs, and to every flow that had more to read. */
  turn(now: number, isShared: boolean): void {
    this.#opening.turn(now, isShared);
    this.#scheduler.turn(now, this.#pump);
  }

  nextAt(now: number): number {
    if (this.#scheduler.isIdle && this.#opening.isIdle) return NEVER;
    return Math.min(this.#scheduler.nextAt(now), this.#opening.nextAt(now));
  }

  reap(): void {
    this.#flows.reap();
  }

  /** Ends every flow, by RST to the host where not all has been sent. */
  close(): void {
    this.#flows.closeAll();
  }

  /** Resets the host's peers and nothing else: the stack has failed. close() does nothing then. */
  abandon(): void {
    this.#flows.abandon();
    this.#opening.abandon();
  }

  /**
   * Connects a client of a published port to the guest; a guest that refuses resets the client.
   * @param fd the client's socket, the relay's from now on
   * @param rule the port's; a client that the guest refuses is led to its other address once
   * @param tuple with the client as peer; where its port is taken already it gets another
   * @param now in ms
   * @returns false when there is no room: fd is the caller's still
   */
  connect(fd: number, rule: PublishedRule, tuple: FlowTuple, mac: Mac, now: number): boolean {
    return this.#published.connect(fd, rule, tuple, mac, now);
  }

  /** Resets both sides of every connection that came by a published port. */
  endPublished(rule: number): void {
    for (const flow of this.#flows.values()) if (flow.rule === rule) this.#flows.abort(flow);
  }

  /** Each flow has one. */
  get descriptors(): number {
    return this.#flows.count;
  }

  get endable(): number {
    return this.#flows.count;
  }

  endOldest(): boolean {
    return this.#flows.endOldest();
  }

  /** Whether requests and answers pass, for which bulk is to make room. */
  get hasConversations(): boolean {
    return this.#scheduler.hasConversations;
  }

  /** Bytes received from host sockets since the last takeMoved(). */
  get received(): number {
    return this.#pump.received - this.#reported;
  }

  /** As `received`, which begins anew. */
  takeMoved(): number {
    const { received } = this;
    this.#reported = this.#pump.received;
    return received;
  }

  addFigures(figures: EngineFigures): void {
    figures.tcpFlows += this.#flows.count;
    figures.tcpBytesFromGuest += this.#pump.sent;
    figures.tcpBytesToGuest += this.#pump.received;
  }

  addUploads(uploads: Uploads): void {
    for (const flow of this.#flows.values()) {
      if (!flow.connected || flow.writeShut) continue;
      uploads.open += 1;
      uploads.blocked ||= !flow.writable;
    }
    uploads.sent += this.#pump.sent;
  }

  /** The connections there are, each as it is when it is asked for. */
  *records(): Generator<FlowRecord> {
    for (const flow of this.#flows.values()) yield this.#record(flow);
  }

  #record(flow: TcpFlow): FlowRecord {
    const stack = this.#stack;
    const { guest, guestPort, peer, peerPort } = stack.tuple(flow.id);
    return {
      protocol: "tcp",
      direction: flow.isPublished ? "inbound" : "outbound",
      state: flow.state,
      guest: {
        own: { address: guest, port: guestPort },
        peer: { address: peer, port: peerPort },
      },
      host: { own: localAddress(flow.fd), peer: peerAddress(flow.fd) },
      fromGuest: { bytes: flow.sent, packets: stack.framesFromGuest(flow.id) },
      toGuest: { bytes: flow.received, packets: stack.framesToGuest(flow.id) },
      since: flow.since,
      roundTripTime: roundTripTime(flow.fd),
    };
  }

  /** Both ends of each established connection, as far as a stack that has failed still tells. */
  connections(): readonly Connection[] {
    const stack = this.#stack;
    const found: Connection[] = [];
    for (const { id, connected } of this.#flows.values()) {
      if (!connected) continue;
      try {
        found.push({ tuple: stack.tuple(id), mac: stack.guestMac(id) });
      } catch {
        // Its next segment will meet a stack that does not know it, and be answered by RST.
      }
    }
    return found;
  }
}
