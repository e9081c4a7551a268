import { tellStderr } from "../../base/log.js";
import { programName } from "../../base/program.js";
import type { Guest, GuestStatistics } from "../../guest/guest.js";

/** Names of the figures as printed; sizes are in bytes. */
const NAMES: Readonly<Record<keyof GuestStatistics, string>> = {
  flows: "tcp-connections",
  tcpFlows: "tcp-host-sockets",
  mappings: "datagram-host-sockets",
  tcpBytesFromGuest: "tcp-bytes-from-guest",
  tcpBytesToGuest: "tcp-bytes-to-guest",
  datagramsFromGuest: "datagrams-from-guest",
  datagramsToGuest: "datagrams-to-guest",
  datagramBytesFromGuest: "datagram-bytes-from-guest",
  datagramBytesToGuest: "datagram-bytes-to-guest",
  memoryInUse: "memory-in-use",
  memoryPeak: "memory-peak",
  allocationFailures: "allocations-refused",
  framesOut: "tcp-frames-out",
  segmentedFramesOut: "tcp-superframes-out",
  outputErrors: "tcp-frames-put-off",
  overQuota: "tcp-segments-over-quota",
};

/** `--stats`: prints what a guest has used, and how many packets were dropped for each reason. */
export function printStatistics(guest: Guest): void {
  const statistics = guest.statistics();
  const keys = Object.keys(NAMES) as (keyof GuestStatistics)[];
  const figures = keys.map((key) => `${NAMES[key]} ${statistics[key]}`);
  const drops = guest.drops.entries().map(([reason, count]) => `dropped ${reason} ${count}`);
  const lines = [...figures, ...drops].map((line) => `${programName()}: ${line}\n`);
  tellStderr(lines.join(""));
}
