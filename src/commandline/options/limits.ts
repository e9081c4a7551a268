import { DEFAULT_LIMITS, type Limits } from "../../config/limits.js";
import { type Option, type Options, type Values, value } from "../parsing/option.js";
import { wholeNumber } from "../parsing/values.js";

/** The stack numbers connections in 16 bits. */
const LIMIT_MOST = 65_535;
const RATE_MOST = 1_000_000;

const count = wholeNumber(1, LIMIT_MOST);
const countOrNone = wholeNumber(0, LIMIT_MOST);
const rate = wholeNumber(1, RATE_MOST);

/** Limits of a guest, in the order of `--help`. */
export const limitOptions = {
  maxFlows: limit("flows", "TCP connections", count),
  maxFlowsPerDestination: limit(
    "flowsPerDestination",
    "TCP connections per destination address and port",
    count,
  ),
  maxHalfOpen: limit("halfOpen", "TCP connections that are not established yet", count),
  maxNewFlows: limit("newFlows", "TCP connection attempts per second that fail", rate),
  maxMappings: limit("mappings", "UDP and ping flows", count),
  maxNewMappings: limit(
    "newMappings",
    "UDP and ping flows, and DNS queries, begun per second that get no answer",
    rate,
  ),
  maxReassemblies: limit("reassemblies", "datagrams that wait for fragments", count),
  maxListeners: limit("listeners", "published ports", countOrNone),
  maxDnsQueries: limit("dnsQueries", "DNS queries in progress", count),
} satisfies Options;

export function limitsOf(values: Values<typeof limitOptions>): Limits {
  return {
    flows: values.maxFlows,
    flowsPerDestination: values.maxFlowsPerDestination,
    halfOpen: values.maxHalfOpen,
    newFlows: values.maxNewFlows,
    mappings: values.maxMappings,
    newMappings: values.maxNewMappings,
    reassemblies: values.maxReassemblies,
    listeners: values.maxListeners,
    dnsQueries: values.maxDnsQueries,
  };
}

function limit(
  key: keyof Limits,
  help: string,
  read: ReturnType<typeof wholeNumber>,
): Option<number> {
  const words = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return {
    ...value(`--max-${words} <number>`, help, read, `${DEFAULT_LIMITS[key]}`),
    group: "Limits (at a limit, what has been idle for longest is closed first):",
  };
}
