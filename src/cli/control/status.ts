import { print } from "../../base/stdio.js";
import type { ControlOptions } from "../../commandline/requests.js";
import { type Status, status as statusAnswer } from "./answers.js";
import { type Found, printEmptyList, withGuests } from "./find.js";
import { type PlaceIdentity, request } from "./place.js";
import { formatBytes, formatCount, formatDuration } from "./units.js";

/**
 * `slipway status`: shows every running network of the user, or the one that is named.
 * @throws UserError for the first that does not answer, after the others were shown
 */
export function status(options: ControlOptions): Promise<void> {
  const show = async (found: readonly Found[]): Promise<void> => {
    const places = found.flatMap((each) => each.places);
    const results = await Promise.allSettled(
      places.map(async (place) => ({
        ...place.identity,
        ...(await request(place, "query_status", {}, statusAnswer)),
      })),
    );
    const answers = results.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const text = options.json
      ? `${JSON.stringify(answers)}\n`
      : answers.map((answer) => describe(answer)).join("\n");
    print(text);
    for (const each of results) if (each.status === "rejected") throw each.reason;
  };
  return withGuests(options, show, options.json ? printEmptyList : undefined);
}

function describe({ socket, name, member_of, ...answer }: Status & PlaceIdentity): string {
  const { version, pid, uptime, tap, target, mtu, networks } = answer;
  const end = target === null ? "" : `, for process ${target}`;
  const on = member_of === undefined ? "" : `, on network ${member_of}`;
  const lines: [string, string][] = [
    ...(name === undefined ? [] : [["name", name + on] satisfies [string, string]]),
    ["process", `${pid}${end}, up ${formatDuration(uptime)}, Slipway ${version}`],
    ...(socket === null ? [] : [["socket", socket] satisfies [string, string]]),
    ["interface", `${tap}, MTU ${mtu}`],
    ...networks.map((each): [string, string] => ["network", networkLine(each)]),
    ...trafficLines(answer),
    ["dropped", dropsOf(answer)],
  ];
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}

function networkLine({ network, gateway, dns, guest }: Status["networks"][number]): string {
  const answers = dns === null ? "" : `, DNS ${dns}`;
  return `${network}: guest ${guest}, gateway ${gateway}${answers}`;
}

function trafficLines({ statistics: s }: Status): [string, string][] {
  const tcp = [s.tcpBytesFromGuest, s.tcpBytesToGuest].map(formatBytes);
  const datagrams = [s.datagramBytesFromGuest, s.datagramBytesToGuest].map(formatBytes);
  const memory = [s.memoryInUse, s.memoryPeak].map(formatBytes);
  return [
    ["TCP", `${formatCount(s.tcpFlows, "connection")}; ${tcp[0]} from the guest, ${tcp[1]} to it`],
    [
      "UDP, ping",
      `${formatCount(s.mappings, "flow")}; ${formatCount(s.datagramsFromGuest, "datagram")} (${datagrams[0]}) from the guest, ` +
        `${s.datagramsToGuest} (${datagrams[1]}) to it`,
    ],
    ["memory", `${memory[0]} in use, ${memory[1]} at most`],
  ];
}

function dropsOf({ drops }: Status): string {
  const counts = Object.entries(drops).map(([reason, count]) => `${reason} ${count}`);
  return counts.length === 0 ? "nothing" : counts.join(", ");
}
