import { readdirSync, readFileSync } from "node:fs";
import { DescriptorLedger } from "./descriptors.js";

/** What the process itself may open later, beside its guests: clients, threads, logs. */
const RESERVED = 1 / 8;
const LEAST_RESERVED = 8;
const MOST_RESERVED = 128;
/** What a thread has open: its loops, and what wakes them. */
const PER_THREAD = 16;

/**
 * What guests of this process may have of its descriptors: what it may have (Node has raised the soft limit
 * to the hard one), without what is open now and a reserve. Where /proc is not there it is not known: then
 * the kernel alone refuses.
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
