import { setTimeout as delay } from "node:timers/promises";
import { isatty } from "node:tty";
import { formatEndpoint } from "../../base/address.js";
import { print, Stdio } from "../../base/stdio.js";
import { formatTable } from "../../base/table.js";
import type { ControlOptions } from "../../commandline/requests.js";
import { type Ends, type Flow, flows as flowsAnswer } from "./answers.js";
import { type Found, printEmptyList, withGuest } from "./find.js";
import { request } from "./place.js";
import { formatBytes, formatDuration, formatMilliseconds } from "./units.js";

/** ECMA-48: moves the cursor to the upper left and erases all below. */
const CLEAR = "\u001b[H\u001b[J";

const HEADS = ["PROTO", "STATE", "GUEST", "PEER", "BY", "SENT", "RECEIVED", "AGE", "RTT"];
const STYLE = { gap: 2, rightAligned: [5, 6, 7, 8] };

/**
 * `slipway flows`.
 * @param watch seconds between two lists, until the process is killed; null: one list
 */
export function flows(options: ControlOptions, watch: number | null): Promise<void> {
  const { json } = options;
  const show = async ({ places }: Found): Promise<void> => {
    for (;;) {
      const answers = await Promise.all(
        places.map((place) => request(place, "list_flows", {}, flowsAnswer)),
      );
      const list = answers.flatMap((answer) => answer.flows);
      const text = json ? `${JSON.stringify(list)}\n` : tableOf(list);
      print(watch !== null && !json && isatty(Stdio.Output) ? CLEAR + text : text);
      if (watch === null) return;
      await delay(watch * 1000);
    }
  };
  return withGuest(options, show, json && watch === null ? printEmptyList : undefined);
}

function tableOf(list: readonly Flow[]): string {
  return formatTable(HEADS, list.map(rowOf), STYLE);
}

/** BY is the host's end of the flow: the address and port that peers see. */
function rowOf({ proto, direction, state, guest, host, ...flow }: Flow): readonly string[] {
  const arrow = direction === "inbound" ? "←" : "→";
  return [
    proto,
    state,
    endpointOf(guest.addr, guest.port),
    `${arrow} ${peerOf(guest)}`,
    endpointOf(host.addr, host.port),
    formatBytes(flow.from_guest.bytes),
    formatBytes(flow.to_guest.bytes),
    formatDuration(flow.age_ms / 1000),
    flow.rtt_us === null ? "" : formatMilliseconds(flow.rtt_us),
  ];
}

function peerOf({ peer_addr: address, peer_port: port }: Ends): string {
  return endpointOf(address, port);
}

/** An end of a flow as text. The peer of a ping has no port. */
function endpointOf(address: string | null, port: number | null): string {
  if (address === null) return "";
  if (port === null || port === 0) return address;
  return formatEndpoint(address, port);
}
