import type { Mac } from "../base/mac.js";
import type { GuestConfig } from "../config/guest-config.js";
import { gatewayOf } from "../nat/appearance.js";
import { PORT_ATTEMPTS, type PublishedRule, randomPort } from "../nat/published-port.js";
import { StackFault } from "../stack/fault.js";
import type { FlowTuple, Stack } from "../stack/stack.js";
import type { TcpFlow } from "./flow.js";
import type { FlowTable } from "./flow-table.js";
import { rewatchSocket, setStreamOptions, watchSocket } from "./host-socket.js";

/** What connections to the guest need of it. */
export interface PublishedContext {
  readonly stack: Stack;
  readonly config: GuestConfig;
  /** Index of the guest in tokens. */
  readonly guest: number;
}

/** Connects clients of published ports to the guest. */
export class PublishedConnections {
  readonly #context: PublishedContext;
  readonly #flows: FlowTable;

  constructor(context: PublishedContext, flows: FlowTable) {
    this.#context = context;
    this.#flows = flows;
  }

  /** See TcpRelay.connect. */
  connect(fd: number, rule: PublishedRule, tuple: FlowTuple, mac: Mac, now: number): boolean {
    const { config, guest, stack } = this.#context;
    if (this.#flows.unanswered >= config.limits.halfOpen) return false;
    this.#flows.makeRoom(null, false, now);
    const id = this.#connectGuest(tuple, mac);
    if (id < 0) return false;
    if (this.#flows.get(id) !== undefined) throw new StackFault(`flow ${id} begins twice`);
    setStreamOptions(fd);
    if (watchSocket(fd, guest, id) < 0) {
      stack.reset(id);
      this.#flows.retire(id);
      return false;
    }
    this.#flows.addPublished(id, fd, rule.id, now).fallback = rule.otherwise ?? null;
    return true;
  }

  /**
   * The guest has refused a client: connects the client to the guest's other address.
   * @returns false when there is none, or no room: the flow goes on
   */
  tryFallback(flow: TcpFlow): boolean {
    const { id, fd, rule, since, fallback } = flow;
    if (fallback === null) return false;
    const { stack, config, guest } = this.#context;
    const { guestPort, peerPort } = stack.tuple(id);
    const peer = gatewayOf(config, fallback.family);
    const tuple = { guest: fallback, guestPort, peer, peerPort };
    const next = this.#connectGuest(tuple, stack.guestMac(id));
    if (next < 0) return false;
    stack.reset(id);
    this.#flows.end(flow);
    rewatchSocket(fd, guest, next);
    this.#flows.addPublished(next, fd, rule, since);
    return true;
  }

  /** Tries other ports where the peer's is taken: several clients may appear as the gateway. @returns an id, or -1 */
  #connectGuest(tuple: FlowTuple, mac: Mac): number {
    const { stack } = this.#context;
    let id = stack.connect(tuple, mac);
    for (let attempt = 0; id < 0 && attempt < PORT_ATTEMPTS; attempt += 1) {
      id = stack.connect({ ...tuple, peerPort: randomPort() }, mac);
    }
    return id;
  }
}
