import { readFileSync } from "node:fs";
import type { TapSettings } from "../attach.js";
import type { Address } from "../base/address.js";
import type { GuestConfig } from "../base/plan.js";
import { parseResolvers } from "../service/resolvconf.js";
import type { NetworkOptions } from "./command-line.js";

const RESOLV_CONF = "/etc/resolv.conf";

/** In frames: a burst of small frames overflows the usual 1000, and the kernel tells nobody. */
const TXQUEUELEN = 10_000;

/** The host's resolv.conf; empty when it cannot be read: then there are no resolvers. */
export function hostResolvConf(): string {
  try {
    return readFileSync(RESOLV_CONF, "utf8");
  } catch {
    return "";
  }
}

/** The guest's resolv.conf: our DNS in the place of the host's, all else as on the host. */
export function guestResolvConf(hostText: string, dns: Address): string {
  const kept = hostText.split("\n").filter((line) => /^(search|options|domain)\s/.test(line));
  return [`nameserver ${dns}`, ...kept, ""].join("\n");
}

/** @param resolvConf text of the host's resolv.conf */
export function guestConfig(network: NetworkOptions, resolvConf: string): GuestConfig {
  const { mtu, plan, hostLoopback } = network;
  return { mtu, plans: [plan], hostLoopback, resolvers: parseResolvers(resolvConf), dns: true };
}

export function tapSettings({ plans, mtu }: GuestConfig): TapSettings {
  return { plans, mtu, txqueuelen: TXQUEUELEN };
}
