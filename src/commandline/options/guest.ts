import { NO_PORTS } from "../../base/port-set.js";
import type { ApiSocketOption, GuestOptions, LogOptions } from "../invocation.js";
import { requireOnePerFamily } from "../parsing/addresses.js";
import type { Values } from "../parsing/option.js";
import { wrong } from "../parsing/values.js";
import { distinctPorts, type PublishOptions } from "../publish-option.js";
import type { commonOptions, slipwayOptions } from "./declarations.js";
import { slipwayNetwork } from "./network.js";

type CommonValues = Values<typeof commonOptions>;
type SlipwayValues = Values<typeof slipwayOptions>;

/** Of `slipway run` and `slipway attach`. @throws UserError */
export function slipwayGuest(values: CommonValues & SlipwayValues, tap: string): GuestOptions {
  return {
    ...servingOptions(values),
    network: slipwayNetwork(values),
    publish: publishOptions(values),
    apiSocket: apiSocketOption(values),
    tap,
  };
}

/** What `slirp4netns` has in common with them. */
export function servingOptions(
  values: CommonValues,
): Pick<GuestOptions, "maxApiClients" | "log" | "stats" | "pcap" | "sandbox"> {
  return {
    maxApiClients: values.maxApiClients,
    log: logOptions(values),
    stats: values.stats,
    pcap: values.pcap,
    sandbox: !values.noSandbox,
  };
}

function logOptions(values: CommonValues): LogOptions {
  return {
    file: values.logFile,
    level: values.logLevel,
    format: values.logFormat,
    linesPerSecond: values.maxLogLines,
  };
}

function apiSocketOption({ apiSocket, noApiSocket }: SlipwayValues): ApiSocketOption {
  if (apiSocket !== null) return { path: apiSocket };
  return noApiSocket ? "none" : "own";
}

function publishOptions(values: SlipwayValues): PublishOptions {
  const { publish, publishAuto, publishExclude, publishToLoopback: toLoopback } = values;
  const hosts = values.hostAddress;
  requireOnePerFamily(hosts, "--host-address");
  if (publishAuto && hosts.length > 0) {
    throw wrong(
      "--host-address publishes each port at that address alone: leave --publish-auto out",
    );
  }
  const isAuto = publishAuto || hosts.length > 0;
  if (publishExclude !== null && !isAuto) {
    throw wrong("--publish-exclude needs --publish-auto or --host-address: add one of them, too");
  }
  const exclude = publishExclude ?? NO_PORTS;
  const ports = distinctPorts(publish, "--publish");
  return { ports, auto: isAuto ? { exclude, hosts } : null, toLoopback };
}
