/** What the soak measures, and what counts as flat. */

import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { median } from "../../bench/stats.ts";
import { type ApiGuest, ask } from "../e2e/api-client.ts";
import type { Lab } from "../lab/lab.ts";
import type { Totals } from "./load.ts";

export interface Sample {
  /** seconds since the beginning */
  readonly at: number;
  readonly resting: boolean;
  readonly descriptors: number;
  /** of the process, KiB */
  readonly privateKiB: number;
  readonly residentKiB: number;
  /** of the guest's stack, bytes */
  readonly stackMemory: number;
  readonly flows: number;
  readonly hostSockets: number;
  /** sockets of UDP and ping, which last for three minutes after the last datagram */
  readonly mappings: number;
  /** of the process, without any traffic; null under load */
  readonly wakeupsPerSecond: number | null;
  readonly bytes: number;
  /** so far */
  readonly datagramsLost: number;
}

const REST = 4_000;
/** Time for connections to end on a busy machine. */
const REST_MOST = 30_000;
const IDLE_LOOK = 3_000;

interface Statistics {
  readonly flows: number;
  readonly tcpFlows: number;
  readonly mappings: number;
  readonly memoryInUse: number;
}

async function statistics(lab: Lab, socket: string): Promise<Statistics> {
  const answer = await ask(lab, socket, { execute: "query_status" });
  return (answer as { return: { statistics: Statistics } }).return.statistics;
}

function wakeups(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}

/** Samples a guest under load. */
export async function look(
  lab: Lab,
  { guest, socket }: ApiGuest,
  at: number,
  { bytes, datagramsLost }: Totals,
  wakeupsPerSecond: number | null = null,
): Promise<Sample> {
  const before = guest.helper.openDescriptors();
  const { flows, tcpFlows, mappings, memoryInUse } = await statistics(lab, socket);
  const { resident, privateDirty } = guest.helper.memory();
  return {
    at: Math.round(at * 10) / 10,
    resting: wakeupsPerSecond !== null,
    // Its own connection may still be open after the query, or a mapping have ended meanwhile.
    descriptors: Math.min(before, guest.helper.openDescriptors()),
    privateKiB: privateDirty,
    residentKiB: resident,
    stackMemory: memoryInUse,
    flows,
    hostSockets: tcpFlows,
    mappings,
    wakeupsPerSecond,
    bytes,
    datagramsLost,
  };
}

async function hasFlows(lab: Lab, { socket }: ApiGuest): Promise<boolean> {
  const { flows, tcpFlows } = await statistics(lab, socket);
  return flows + tcpFlows > 0;
}

/** Lets a guest come to rest, then samples it. */
export async function lookAtRest(
  lab: Lab,
  api: ApiGuest,
  now: () => number,
  totals: Totals,
): Promise<Sample> {
  await delay(REST);
  for (let rested = REST; rested < REST_MOST && (await hasFlows(lab, api)); rested += 500) {
    await delay(500);
  }
  const before = wakeups(api.guest.helper.pid);
  await delay(IDLE_LOOK);
  const rate = ((wakeups(api.guest.helper.pid) - before) / IDLE_LOOK) * 1000;
  return look(lab, api, now(), totals, Math.round(rate * 10) / 10);
}

/** Growth of memory that JavaScript's garbage collector may explain, in KiB. */
const NOISE_KIB = 16 * 1024;
const NOISE_WAKEUPS = 20;
/** Of the stack's memory, in bytes: a datagram that waits for a lost fragment, for a minute. */
const INCOMPLETE = 66 * 1024;

/** A sentence for each figure that grew but should be back at its first value. */
export function grown(samples: readonly Sample[]): string[] {
  const resting = samples.filter((sample) => sample.resting);
  if (resting.length === 0) return [];
  const third = Math.max(1, Math.floor(resting.length / 3));
  const [early, late] = [resting.slice(0, third), resting.slice(-third)];
  const found: string[] = [];
  const compare = (name: string, of: (sample: Sample) => number, slack: number) => {
    const [before, after] = [median(early.map(of)), median(late.map(of))];
    if (after > before + slack) found.push(`${name} grew from ${before} to ${after}`);
  };
  const busy = resting.filter(({ flows, hostSockets }) => flows + hostSockets > 0);
  for (const { at, flows, hostSockets } of busy)
    found.push(`at ${at} s, at rest, ${flows} flows and ${hostSockets} sockets were left`);
  compare("descriptors, except mappings,", (it) => it.descriptors - it.mappings, 0);
  const lost = samples.at(-1)?.datagramsLost ?? 0;
  compare("the stack's memory", (it) => it.stackMemory, lost * INCOMPLETE);
  compare("private memory (KiB)", (it) => it.privateKiB, NOISE_KIB);
  compare("wake-ups per second at rest", (it) => it.wakeupsPerSecond ?? 0, NOISE_WAKEUPS);
  return found;
}
