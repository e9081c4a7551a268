import { monotonicMs } from "../base/clock.js";
import type { Uploads } from "../engine/engine.js";

/** How often drain() looks, and for how long nothing must have moved, in ms. */
const LOOK_INTERVAL = 5;
/** Above the shortest retransmission timeout of Linux, TCP_RTO_MIN: 200. */
const QUIET = 250;

/**
 * Calls back when nothing is under way by TCP from a guest to the host any more: the guest has closed every
 * connection and its end was passed on, or those that are left are silent.
 * @param uploads what is under way now
 * @param limit ms after which it calls back in any case
 */
export function drain(
  uploads: () => Readonly<Uploads>,
  limit: number,
  onDrained: () => void,
): void {
  const start = monotonicMs();
  let sentBefore = -1;
  let changedAt = start;
  const look = (): void => {
    const now = monotonicMs();
    const { open, blocked, sent } = uploads();
    if (sent !== sentBefore) changedAt = now;
    sentBefore = sent;
    const isQuiet = !blocked && now - changedAt >= QUIET;
    if (open === 0 || isQuiet || now - start >= limit) onDrained();
    else setTimeout(look, LOOK_INTERVAL);
  };
  // Not at once: the guest's last frames may still be in the TAP.
  setTimeout(look, LOOK_INTERVAL);
}
