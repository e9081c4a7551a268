import type { TokenKind } from "../sys/token.js";

/**
 * A part of a guest that has descriptors and works in turns: the guest knows no more of it than this.
 * A wake-up calls onEvents() for each of its events, then turn(), reap() and nextAt().
 */
export interface Engine {
  /** Of the tokens by which its descriptors are watched. */
  readonly kind: TokenKind;
  /**
   * @param id of the descriptor's token
   * @param events bits of Epoll
   * @param now ms of the loop's clock
   */
  onEvents(id: number, events: number, now: number): void;
  /**
   * Does what is due, and what was left at the last turn.
   * @param isShared whether other guests want something, too
   */
  turn(now: number, isShared: boolean): void;
  /** When it wants its next turn, in ms of the loop's clock: `now` for at once, NEVER for not before an event. */
  nextAt(now: number): number;
  /** Gives back the ids of what ended; to be called when no fetched event is left. */
  reap(): void;
  /** Ends all that there is. */
  close(): void;
  /** How many descriptors it has. */
  readonly descriptors: number;
  /** How many of them endOldest() can end, call by call. */
  readonly endable: number;
  /** Ends what has been idle for longest, as others need its descriptor. @returns false when there is nothing */
  endOldest(): boolean;
}
