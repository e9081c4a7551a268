import type { Slot } from "../admission/flow-limiter.js";
import type { Address } from "../base/address.js";
import type { FlowState } from "../nat/flow-record.js";

/**
 * One TCP flow: a connection between the guest and lwIP, and a host socket that stands for its peer.
 *
 * Its states are those of `FlowState`, preceded by `held` (the stack holds a SYN of the guest; there is no
 * TcpFlow yet). An event in capitals is one of the stack's (`FlowEvent`), one in lower case is the host
 * socket's or our own. What a row does not name leaves the state as it is: DATA and "writable" forward the
 * guest's bytes, SPACE and "readable" receive the host's.
 *
 * | state | event | next state | action |
 * |---|---|---|---|
 * | none | SYN, admitted | connecting | connect a host socket |
 * | none | SYN, too many before it | held | none |
 * | none | SYN, too many are held | none | count a drop, release the id: the guest repeats the SYN |
 * | held | admitted | connecting | connect a host socket |
 * | held | RESET | none | release the id |
 * | none, held | no socket, or no way to the destination | none | RST, ICMP error or silence to the guest |
 * | none | client of a published port | connecting | SYN to the guest |
 * | connecting, outbound | connected | established | SYN and ACK to the guest; no memory for it: ended, RST to both |
 * | connecting, outbound | connect failed | ended | RST, ICMP error or silence to the guest, by errno |
 * | connecting, outbound | RESET | ended | RST to the host |
 * | connecting, outbound | evicted at a limit | ended | close: the guest hears nothing and repeats its SYN |
 * | connecting, published | OPEN | established | none |
 * | connecting, published | RESET, there is a fallback | ended | a new flow, connecting: SYN to the fallback |
 * | connecting, published | RESET, there is none | ended | RST to the client |
 * | connecting, published | hung up | ended | RST to both |
 * | established | FIN | guest-ended | forward the rest, then shutdown(SHUT_WR) |
 * | established | recv returned 0 | host-ended | FIN to the guest behind all that was received |
 * | guest-ended | recv returned 0 | closing | FIN to the guest behind all that was received |
 * | host-ended | FIN | closing | forward the rest, then shutdown(SHUT_WR) |
 * | closing | CLOSED and all forwarded | ended | close |
 * | established to closing | RESET | ended | RST to the host |
 * | established to closing | failed: send, recv, shutdown | ended | RST to both |
 * | guest-ended, closing | guest gone, shutdown done | ended | RST to the guest, close: the host sends the rest |
 * | any, unless a row above says otherwise | evicted, port withdrawn, guest gone | ended | RST to both |
 *
 * The id of an ended flow is free at the end of the wake-up (`FlowTable.reap`).
 */
export class TcpFlow {
  /** The stack's. */
  readonly id: number;
  /** The host socket. */
  readonly fd: number;
  /** The rule of the published port whose client opened the flow; 0: the guest opened it. */
  readonly rule: number;
  /** Its entry in the FlowLimiter. */
  readonly slot: Slot;
  /** When it began, in ms of the loop's clock. */
  readonly since: number;
  /** Bytes that the host socket has taken and given. */
  sent = 0;
  received = 0;
  /** The host socket is connected, or the guest has answered the client of a published port. */
  connected = false;
  /** sendmsg failed for want of kernel memory, of whose return no event tells: repeat it. */
  retriesSend = false;
  readable = false;
  writable = false;
  /** The host's peer has closed or failed: a short read does not mean drained, its end is still to be read. */
  hungUp = false;
  /** The host's peer has sent urgent data: a read stops short in front of it. */
  urgent = false;
  /** All that the host's peer sent has been received. */
  hostEnded = false;
  /** The guest has sent FIN. */
  guestEnded = false;
  /** The guest's FIN has been passed to the host. */
  writeShut = false;
  /** lwIP is done with the connection. */
  stackClosed = false;
  /** The flow is in no table any more; whoever still holds it must not use its id and descriptor. */
  ended = false;
  /** Whether the last turn received few bytes (Scheduler.note). */
  wasSmall = false;
  /** The queue of the Scheduler that it is in. */
  queued: "ready" | "starved" | null = null;
  /** Address of the guest to try when it refuses the client of a published port; null: there is none. */
  fallback: Address | null = null;

  constructor(id: number, fd: number, rule: number, slot: Slot, since: number) {
    this.id = id;
    this.fd = fd;
    this.rule = rule;
    this.slot = slot;
    this.since = since;
  }

  /** Whether a client of a published port opened it. */
  get isPublished(): boolean {
    return this.rule > 0;
  }

  get state(): FlowState {
    if (!this.connected) return "connecting";
    if (this.guestEnded) return this.hostEnded ? "closing" : "guest-ended";
    return this.hostEnded ? "host-ended" : "established";
  }
}
