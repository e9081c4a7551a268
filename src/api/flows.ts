import type { Guest } from "../guest/guest.js";
import type { Ends, FlowRecord } from "../nat/flow-record.js";
import type { Endpoint } from "../sys/sockets/sockaddr.js";
import { arrayInParts } from "./answers.js";

/** Flows in one part of the answer. Each takes up to three system calls; a part takes about 0.2 ms (m). */
const PART = 32;

/** list_flows. Flows that begin or end while the list is sent may be missing. */
export function* listFlows(guest: Guest): Generator<string> {
  yield '{"return":{"flows":';
  yield* arrayInParts(entries(guest), PART);
  yield "}}";
}

function* entries(guest: Guest): Generator<object> {
  for (const record of guest.flows()) yield entryOf(record, loopTime());
}

function entryOf(record: FlowRecord, now: number): object {
  const { protocol: proto, direction, state, guest, host, fromGuest, toGuest } = record;
  return {
    proto,
    direction,
    state,
    guest: endsOf(guest),
    host: endsOf(host),
    from_guest: { bytes: fromGuest.bytes, packets: fromGuest.packets },
    to_guest: { bytes: toGuest.bytes, packets: toGuest.packets },
    age_ms: Math.max(0, now - record.since),
    rtt_us: record.roundTripTime,
  };
}

function endsOf({ own, peer }: Ends): object {
  const [address, peerAddress] = [own, peer].map((end: Endpoint | null) => end?.address ?? null);
  return {
    addr: address === null ? null : `${address}`,
    port: own?.port ?? null,
    peer_addr: peerAddress === null ? null : `${peerAddress}`,
    peer_port: peer?.port ?? null,
  };
}

/** The loop's clock, CLOCK_MONOTONIC, in ms. */
function loopTime(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}
