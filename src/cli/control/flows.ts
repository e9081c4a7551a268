import { setTimeout as delay } from "node:timers/promises";
import { formatEndpoint } from "../../base/address.js";
import { formatTable } from "../../base/table.js";
import type { ControlOptions } from "../../commandline/requests.js";
import { type Ends, type Flow, flows as flowsAnswer } from "./answers.js";
import { findSocket, request } from "./connection.js";
import { formatBytes, formatDuration, formatMilliseconds } from "./units.js";

/** ECMA-48: the cursor to the upper left, and all below it is erased. */
const CLEAR = "\u001b[H\u001b[J";

const HEADS = ["PROTO", "STATE", "GUEST", "PEER", "BY", "SENT", "RECEIVED", "AGE", "RTT"];
const STYLE = { gap: 2, rightAligned: [5, 6, 7, 8] };

/**
 * `slipway flows`.
 * @param watch seconds between two lists, for ever; null for one list
 */
export async function flows({ socket, json }: ControlOptions, watch: number | null): Promise<void> {
  const path = await findSocket(socket);
  for (;;) {
    const { flows: list } = await request(path, "list_flows", {}, flowsAnswer);
    const text = json ? `${JSON.stringify(list)}\n` : tableOf(list);
    process.stdout.write(watch !== null && !json && process.stdout.isTTY ? CLEAR + text : text);
    if (watch === null) return;
    await delay(watch * 1000);
  }
}

function tableOf(list: readonly Flow[]): string {
  return formatTable(HEADS, list.map(rowOf), STYLE);
}

/** `BY` is the host's own end: the address and port that the world sees. */
function rowOf({ proto, direction, state, guest, host, ...flow }: Flow): readonly string[] {
  const arrow = direction === "inbound" ? "←" : "→";
  return [
    proto,
    state,
    placeOf(guest.addr, guest.port),
    `${arrow} ${peerOf(guest)}`,
    placeOf(host.addr, host.port),
    formatBytes(flow.from_guest.bytes),
    formatBytes(flow.to_guest.bytes),
    formatDuration(flow.age_ms / 1000),
    flow.rtt_us === null ? "" : formatMilliseconds(flow.rtt_us),
  ];
}

function peerOf({ peer_addr: address, peer_port: port }: Ends): string {
  return placeOf(address, port);
}

/** Ping has no port to name at its peer. */
function placeOf(address: string | null, port: number | null): string {
  if (address === null) return "";
  if (port === null || port === 0) return address;
  return formatEndpoint(address, port);
}
