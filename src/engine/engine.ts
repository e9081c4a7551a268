import type { FlowRecord } from "../nat/flow-record.js";
import type { TokenKind } from "../sys/token.js";

/** Sums over the engines of a guest, for `--stats` and query_status. */
export interface EngineFigures {
  /** TCP connections with a host socket. */
  tcpFlows: number;
  /** UDP and ICMP endpoints of the guest with a host socket. */
  mappings: number;
  /** Bytes of TCP passed on to the host and from it. */
  tcpBytesFromGuest: number;
  tcpBytesToGuest: number;
  /** Datagrams of UDP and ICMP echo, and their bytes. */
  datagramsFromGuest: number;
  datagramsToGuest: number;
  datagramBytesFromGuest: number;
  datagramBytesToGuest: number;
}

export function noFigures(): EngineFigures {
  return {
    tcpFlows: 0,
    mappings: 0,
    tcpBytesFromGuest: 0,
    tcpBytesToGuest: 0,
    datagramsFromGuest: 0,
    datagramsToGuest: 0,
    datagramBytesFromGuest: 0,
    datagramBytesToGuest: 0,
  };
}

/** What is under way by TCP from a guest to the host. */
export interface Uploads {
  /** Established connections whose end, from the guest, has not been passed on. */
  open: number;
  /** Whether one of them waits until the host takes more. */
  blocked: boolean;
  /** Bytes passed on since the beginning. */
  sent: number;
}

/**
 * A part of a guest that has descriptors and works in turns. The guest knows no more of it than this.
 * A wake-up calls onEvents() for each of its events, then turn(), reap() and nextAt().
 */
export interface Engine {
  /** Kind of the tokens that its descriptors are watched with. */
  readonly kind: TokenKind;
  /**
   * @param id of the descriptor's token
   * @param events bits of Epoll
   * @param now ms of the loop's clock
   */
  onEvents(id: number, events: number, now: number): void;
  /**
   * Does what is due, and what the last turn left over.
   * @param isShared whether other guests want something, too
   */
  turn(now: number, isShared: boolean): void;
  /**
   * When it wants its next turn, in ms of the loop's clock: `now` for at once, NEVER for not before an event. An engine that
   * has nothing to do returns the constant itself: a number that is computed costs a heap number at every turn (measured).
   */
  nextAt(now: number): number;
  /** Frees the ids of what ended. Called when no event that was fetched is left to be handled. */
  reap(): void;
  /** Ends all that it has. */
  close(): void;
  /** How many descriptors it has. */
  readonly descriptors: number;
  /** How many of them endOldest() can close, one by one. */
  readonly endable: number;
  /** Ends what has been idle for longest, to free its descriptor. @returns false when there is nothing */
  endOldest(): boolean;

  // An engine leaves out what does not apply to it.

  /** Its flows, each as it is when the generator reaches it. */
  records?(): Generator<FlowRecord>;
  /** Adds its figures to those of the guest. */
  addFigures?(figures: EngineFigures): void;
  /** Adds what it has under way to the host. */
  addUploads?(uploads: Uploads): void;
  /** Bytes received from sockets since the last call; those that were read from the TAP are not among them. */
  takeMoved?(): number;
}
