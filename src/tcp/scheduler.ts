import { NEVER } from "../base/clock.js";
import { TICK_INTERVAL } from "../stack/stack.js";
import type { TcpFlow } from "./flow.js";

/** Bytes that one flow may receive from the host before it is others' turn: a superframe. */
export const QUANTUM = 64 * 1024;

/** Bytes that all flows together may receive in one wake-up; the rest waits for the next. */
const WAKE_BUDGET = 1024 * 1024;
/** The same beside a conversation: some 0.3 ms, and each exchange waits for two wake-ups. */
const SHORT_WAKE_BUDGET = 256 * 1024;

/** A host that sends fewer bytes than this, twice in a row, carries on a conversation. */
const SMALL = 4096;
/** Wake-ups that are short after that. */
const SHORT_WAKES = 1024;

/** How soon starved flows may read again, in ms: not in every turn, as they may be many. */
const STARVED_WAIT = 10;

/** Moves a flow's bytes. */
export interface FlowServer {
  /** Gives the flow one turn: at most QUANTUM bytes from the host. */
  serve(flow: TcpFlow): void;
}

/**
 * Which flow may receive from the host, and how much. A `ready` flow had more to read than its quantum and
 * takes its turn after the others; a `starved` one found no memory and tries again later.
 */
export class Scheduler {
  #ready: TcpFlow[] = [];
  /** The ready queue's spare array: it is served while flows queue up for the next turn. */
  #working: TcpFlow[] = [];
  #starved: TcpFlow[] = [];
  /** When starved flows may read again, in ms. */
  #feedAt = 0;
  /** Bytes that may still be received in this wake-up. */
  #left = WAKE_BUDGET;
  /** Wake-ups that are still to be short. */
  #shortWakes = 0;

  /** Whether this wake-up may receive more. */
  get hasBudget(): boolean {
    return this.#left > 0;
  }

  /** Whether requests and answers pass, for which bulk is to make room. */
  get hasConversations(): boolean {
    return this.#shortWakes > 0;
  }

  /** Takes bytes that were received off the wake-up's budget. */
  spend(bytes: number): void {
    this.#left -= bytes;
  }

  /** Notes how many bytes a flow received in a turn, to find out whether it is a conversation. */
  note(flow: TcpFlow, received: number): void {
    if (received === 0) return;
    const isSmall = received < SMALL;
    if (isSmall && flow.wasSmall) this.#shortWakes = SHORT_WAKES;
    flow.wasSmall = isSmall;
  }

  /** Queues a flow. One that is ready keeps its place; one that is starved may become ready. */
  queue(flow: TcpFlow, queue: "ready" | "starved"): void {
    if (flow.queued === "ready" || flow.queued === queue) return;
    flow.queued = queue;
    if (queue === "ready") this.#ready.push(flow);
    else this.#starved.push(flow);
  }

  /** Serves what is queued, and begins the budget of the next wake-up. @param now in ms */
  turn(now: number, server: FlowServer): void {
    this.#serveReady(server);
    if (this.#starved.length === 0 || now < this.#feedAt) return;
    this.#feedAt = now + STARVED_WAIT;
    const starved = this.#starved;
    this.#starved = [];
    serveAll(starved, "starved", server);
  }

  /** Whether no flow waits for a turn. */
  get isIdle(): boolean {
    return this.#ready.length === 0 && this.#starved.length === 0;
  }

  /** When the next turn is due, in ms. */
  nextAt(now: number): number {
    if (this.#ready.length > 0) return now;
    return this.#starved.length > 0 ? now + TICK_INTERVAL : NEVER;
  }

  /** Round-robin, a quantum each, until the budget is used or nobody receives anything. */
  #serveReady(server: FlowServer): void {
    for (let before = -1; this.#ready.length > 0 && this.hasBudget && before !== this.#left; ) {
      before = this.#left;
      serveAll(this.#swap(), "ready", server);
    }
    if (this.#shortWakes > 0) this.#shortWakes -= 1;
    this.#left = this.hasConversations ? SHORT_WAKE_BUDGET : WAKE_BUDGET;
  }

  #swap(): TcpFlow[] {
    const ready = this.#ready;
    this.#ready = this.#working;
    this.#working = ready;
    return ready;
  }
}

/** Serves the flows that are still in `queue`, and empties the list: a flow that ended or was served since is not. */
function serveAll(flows: TcpFlow[], queue: "ready" | "starved", server: FlowServer): void {
  for (const flow of flows) {
    if (flow.queued !== queue) continue;
    flow.queued = null;
    server.serve(flow);
  }
  flows.length = 0;
}
