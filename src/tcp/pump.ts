import { isOutOfMemory } from "../admission/admission.js";
import { StackFault } from "../stack/fault.js";
import type { Stack } from "../stack/stack.js";
import { Errno, Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import type { TcpFlow } from "./flow.js";
import type { FlowTable } from "./flow-table.js";
import { type FlowServer, QUANTUM, type Scheduler } from "./scheduler.js";

/** Moves the bytes of flows between the stack's memory and host sockets, and passes on the end of each direction. */
export class Pump implements FlowServer {
  /** Bytes passed to host sockets, and received from them, since the beginning. */
  sent = 0;
  received = 0;
  readonly #stack: Stack;
  readonly #memory: number;
  readonly #flows: FlowTable;
  readonly #scheduler: Scheduler;

  /** @param memory number of the stack's registered memory */
  constructor(stack: Stack, memory: number, flows: FlowTable, scheduler: Scheduler) {
    this.#stack = stack;
    this.#memory = memory;
    this.#flows = flows;
    this.#scheduler = scheduler;
  }

  /** A turn of a flow that was queued. */
  serve(flow: TcpFlow): void {
    if (flow.retriesSend) {
      flow.retriesSend = false;
      this.forward(flow);
      if (flow.ended) return;
    }
    this.#receive(flow);
  }

  /** Guest → host: one sendmsg for all that waits, one ACK; then the guest's FIN, if it has sent one. */
  forward(flow: TcpFlow): void {
    const stack = this.#stack;
    const { id } = flow;
    if (!flow.connected) return;
    if (!flow.writable) {
      stack.consumed(id, 0);
      return;
    }
    let passed = 0;
    for (let pieces = stack.pending(id); pieces > 0; pieces = stack.pending(id)) {
      const offered = this.#offered(pieces);
      passed += offered;
      if (offered === 0 || passed > stack.memory.byteLength) {
        throw new StackFault(`flow ${id} has data without an end`);
      }
      const sent = native.sendmsg(flow.fd, this.#memory, stack.iovOffset, pieces, 0);
      if (sent < 0) {
        this.#onSendError(flow, -sent);
        return;
      }
      stack.consumed(id, sent);
      this.sent += sent;
      flow.sent += sent;
      if (sent < offered) {
        flow.writable = false;
        return;
      }
    }
    if (!flow.guestEnded && !flow.stackClosed) return;
    if (shutWrite(flow)) this.#closeIfDone(flow);
    else this.#flows.abort(flow);
  }

  #offered(pieces: number): number {
    const { iov } = this.#stack;
    let bytes = 0;
    for (let piece = 0; piece < pieces; piece += 1) bytes += iov[2 * piece + 1];
    return bytes;
  }

  /** Data that was acknowledged to the guest and cannot be delivered: RST, as FIN would claim that it was. */
  #onSendError(flow: TcpFlow, errno: number): void {
    if (isOutOfMemory(errno)) {
      flow.retriesSend = true;
      this.#scheduler.queue(flow, "starved");
    } else if (errno === Errno.EAGAIN) {
      flow.writable = false;
    } else {
      this.#flows.abort(flow);
      return;
    }
    this.#stack.consumed(flow.id, 0);
  }

  /**
   * The host socket is readable, or the stack has room again: receives at once, unless the flow waits for
   * its turn already or the wake-up's budget is used.
   */
  onReadable(flow: TcpFlow): void {
    if (flow.queued === "ready") return;
    if (this.#scheduler.hasBudget || !flow.readable) this.#receive(flow);
    else this.#scheduler.queue(flow, "ready");
  }

  /** Host → guest: at most a quantum; then the host's FIN, if it has sent one. */
  #receive(flow: TcpFlow): void {
    const stack = this.#stack;
    const scheduler = this.#scheduler;
    const { id } = flow;
    let quantum = QUANTUM;
    while (flow.readable && !flow.hostEnded && quantum > 0) {
      const room = stack.reserve(id);
      if (room <= 0) {
        if (room < 0) scheduler.queue(flow, "starved");
        return;
      }
      const received = native.recv(flow.fd, this.#memory, stack.reservedAt, room, 0);
      if (received > 0) {
        stack.commit(id, received);
        this.received += received;
        flow.received += received;
        quantum -= received;
        scheduler.spend(received);
        if (received < room && !flow.hungUp && !flow.urgent) flow.readable = false;
      } else if (received === 0) {
        flow.hostEnded = true;
        stack.finish(id);
      } else if (received === -Errno.EAGAIN) {
        flow.readable = false;
      } else if (isOutOfMemory(-received)) {
        scheduler.queue(flow, "starved");
        return;
      } else {
        this.#flows.abort(flow);
        return;
      }
    }
    scheduler.note(flow, QUANTUM - quantum);
    if (flow.hostEnded) this.#closeIfDone(flow);
    else if (flow.readable) scheduler.queue(flow, "ready");
  }

  #closeIfDone(flow: TcpFlow): void {
    if (flow.stackClosed && flow.writeShut && flow.hostEnded) this.#flows.close(flow);
  }
}

/** Passes the guest's FIN to the host. @returns false when the peer cannot be told that the stream has ended */
function shutWrite(flow: TcpFlow): boolean {
  if (flow.writeShut) return true;
  flow.writeShut = true;
  const result = native.shutdown(flow.fd, Socket.ShutdownWrite);
  // ENOTCONN: the peer has reset the connection, which an event is going to report.
  return result >= 0 || result === -Errno.ENOTCONN;
}
