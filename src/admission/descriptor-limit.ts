import { readdirSync, readFileSync } from "node:fs";
import { DescriptorLedger } from "./descriptor-ledger.js";

/** The part of the limit that is reserved for the process itself: clients, threads, logs. */
const RESERVED = 1 / 8;
const LEAST_RESERVED = 8;
const MOST_RESERVED = 128;
/** Descriptors of a thread: its loops, and what wakes them. */
const PER_THREAD = 16;

/**
 * A ledger of the descriptors that guests of this process may have: the soft limit (which Node has raised to
 * the hard one) less what is open now and a reserve. Without /proc the limit is unknown, and only the kernel
 * refuses.
 * @param threads that serve guests
 */
export function makeLedger(threads: number): DescriptorLedger {
  const limit = softLimit();
  const reserved = Math.min(MOST_RESERVED, Math.max(LEAST_RESERVED, Math.floor(limit * RESERVED)));
  const control = openNow() + reserved + (threads - 1) * PER_THREAD;
  return DescriptorLedger.create(limit - control);
}

function softLimit(): number {
  try {
    const [, soft] =
      /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? Number.MAX_SAFE_INTEGER : Number(soft);
  } catch {
    return Number.MAX_SAFE_INTEGER;
  }
}

function openNow(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}
