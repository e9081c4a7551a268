import { FlowLimiter } from "../admission/flow-limiter.js";
import type { LimitReports } from "../admission/limit-reports.js";
import type { Limits } from "../config/limits.js";
import type { Stack } from "../stack/stack.js";
import { native } from "../sys/native.js";
import { resetSocket } from "../sys/sockets/socket.js";
import { TcpFlow } from "./flow.js";

/** What the end of a flow needs of the stack. */
export type EndableStack = Pick<Stack, "reset" | "release">;

/** The TCP flows of one guest, by the stack's ids: how each begins, and every way in which it ends. */
export class FlowTable {
  readonly #stack: EndableStack;
  readonly #reports: LimitReports;
  readonly #limiter: FlowLimiter;
  readonly #flows: (TcpFlow | undefined)[] = [];
  /** Ids that the stack holds for flows that ended. */
  readonly #retired: number[] = [];
  #count = 0;
  #unanswered = 0;

  constructor(stack: EndableStack, limits: Limits, reports: LimitReports) {
    this.#stack = stack;
    this.#reports = reports;
    this.#limiter = new FlowLimiter(limits);
  }

  get count(): number {
    return this.#count;
  }

  /** Clients of published ports that the guest has not answered. */
  get unanswered(): number {
    return this.#unanswered;
  }

  get(id: number): TcpFlow | undefined {
    return this.#flows[id];
  }

  *values(): Generator<TcpFlow> {
    for (const flow of this.#flows) if (flow !== undefined) yield flow;
  }

  /**
   * Adds a flow that the guest opens.
   * @param fd a socket that connects
   * @param destination endpointKey of its peer on the host
   * @param now in ms
   */
  addOutbound(id: number, fd: number, destination: number, now: number): void {
    this.#add(new TcpFlow(id, fd, 0, this.#limiter.add(id, destination, true), now));
  }

  /**
   * Adds a flow that a client of a published port opens.
   * @param fd the client's socket
   * @param rule the port's
   * @param since in ms
   */
  addPublished(id: number, fd: number, rule: number, since: number): TcpFlow {
    const flow = new TcpFlow(id, fd, rule, this.#limiter.add(id, null, false), since);
    this.#add(flow);
    this.#unanswered += 1;
    return flow;
  }

  #add(flow: TcpFlow): void {
    this.#flows[flow.id] = flow;
    this.#count += 1;
  }

  /** Both sides are established. */
  establish(flow: TcpFlow): void {
    flow.connected = true;
    if (flow.isPublished) this.#unanswered -= 1;
    else this.#limiter.settle(flow.slot);
  }

  /** The flow is in use: it is the last to be ended at a limit. */
  touch(flow: TcpFlow): void {
    this.#limiter.touch(flow.slot);
  }

  /**
   * Ends flows that are at a limit, those idle for longest first, until one more may begin.
   * @param destination of the new one, an endpointKey; null where that is not limited
   * @param isHalfOpen whether the new one counts as half-open
   * @param now in ms
   */
  makeRoom(destination: number | null, isHalfOpen: boolean, now: number): void {
    const limiter = this.#limiter;
    let eviction = limiter.evictionFor(destination, isHalfOpen);
    for (; eviction !== null; eviction = limiter.evictionFor(destination, isHalfOpen)) {
      const flow = this.#flows[eviction.id];
      if (flow === undefined) return;
      this.#reports.report(eviction.reason, now);
      this.#evict(flow);
    }
  }

  /** Ends the flow that has been idle for longest. @returns false when there is none */
  endOldest(): boolean {
    const { oldest } = this.#limiter;
    const flow = oldest === null ? undefined : this.#flows[oldest];
    if (flow === undefined) return false;
    this.#evict(flow);
    return true;
  }

  /** A guest that still wants a connection which was not answered repeats its SYN. */
  #evict(flow: TcpFlow): void {
    if (flow.connected || flow.isPublished) this.abort(flow);
    else this.close(flow);
  }

  /** Resets both sides. */
  abort(flow: TcpFlow): void {
    this.#stack.reset(flow.id);
    resetSocket(flow.fd);
    this.end(flow);
  }

  /** Closes the host socket in order; the guest is sent nothing. */
  close(flow: TcpFlow): void {
    native.close(flow.fd);
    this.end(flow);
  }

  /** Ends a flow whose host socket goes on without it, or is closed already. */
  end(flow: TcpFlow): void {
    this.remove(flow);
    this.retire(flow.id);
  }

  /** As end(), but the stack's flow goes on: its SYN is still to be answered. */
  remove(flow: TcpFlow): void {
    if (flow.isPublished && !flow.connected) this.#unanswered -= 1;
    this.#limiter.remove(flow.slot);
    this.#flows[flow.id] = undefined;
    this.#count -= 1;
    flow.ended = true;
    flow.queued = null;
  }

  /** Has reap() give the id back to the stack. */
  retire(id: number): void {
    this.#retired.push(id);
  }

  /** Gives back the ids of flows that ended; to be called when no fetched event is left. */
  reap(): void {
    if (this.#retired.length === 0) return;
    for (const id of this.#retired) this.#stack.release(id);
    this.#retired.length = 0;
  }

  /**
   * Ends every flow. The host's peers see a reset, except those to whom all has been sent: the kernel
   * still delivers that.
   */
  closeAll(): void {
    for (const flow of this.values()) {
      if (!flow.writeShut) {
        this.abort(flow);
        continue;
      }
      this.#stack.reset(flow.id);
      this.close(flow);
    }
    this.reap();
  }

  /** Resets the host's peers and calls nothing of the stack, which has failed. */
  abandon(): void {
    for (const flow of this.values()) resetSocket(flow.fd);
    this.#flows.length = 0;
    this.#retired.length = 0;
  }
}
