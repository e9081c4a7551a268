import { constants } from "node:os";
import type { Mac } from "../base/mac.js";
import type { AddressPlan } from "../config/address-plan.js";
import * as abi from "../rpc/launcher-abi.js";
import { native } from "../sys/native.js";
import {
  addAddress,
  addDefaultRoute,
  LOOPBACK_IFINDEX,
  linkUp,
  setLink,
} from "../wire/rtnetlink.js";
import { openAgent } from "./agent.js";
import { settingFailure, systemFailure } from "./failure.js";
import type { Namespace } from "./namespace.js";

/** Errnos of a namespace without IPv6, in which the requests for IPv6 are skipped. */
const NO_IPV6: readonly number[] = abi.NO_IPV6.map((name) => constants.errno[name]);

/** What to configure in the namespace. */
export interface TapSettings {
  readonly plans: readonly AddressPlan[];
  /** In bytes, without the Ethernet header. */
  readonly mtu: number;
  /** Length of the TAP's queue, in frames: the kernel silently drops what exceeds it. */
  readonly txqueuelen: number;
  /** Of the TAP; absent: the one that the kernel gave it. */
  readonly mac?: Mac;
  /** Of the default routes; null: there are none. Absent: one TAP, one route. */
  readonly metric?: number | null;
}

export interface Tap {
  /** A handle of the addon, non-blocking. */
  readonly fd: number;
  /** Whether each frame is preceded by a virtio_net_hdr. */
  readonly vnetHeader: boolean;
}

/**
 * Opens the TAP `name` in a namespace, creating it when it does not exist; with settings it also
 * brings up lo and the TAP with its addresses and default routes. On an error nothing is left.
 * @throws UserError
 */
export function openTap(namespace: Namespace, name: string, settings: TapSettings | null): Tap {
  const agent = openAgent(namespace);
  try {
    const fd = native.agentOpenTap(agent, name, true);
    if (fd < 0) throw systemFailure(fd, namespace);
    try {
      if (settings !== null) configure(agent, namespace, name, settings);
    } catch (error) {
      native.close(fd);
      throw error;
    }
    return { fd, vnetHeader: true };
  } finally {
    native.closeAgent(agent);
  }
}

function configure(agent: number, namespace: Namespace, name: string, settings: TapSettings): void {
  const tap = native.agentIfindex(agent, name);
  if (tap < 0) throw systemFailure(tap, namespace);
  let leftOut = 0;
  for (const { purpose, message, optional, isIpv6 } of tapRequests(tap, name, settings)) {
    if (leftOut > 0) {
      leftOut -= 1;
      continue;
    }
    const result = native.agentNetlink(agent, message);
    if (result >= 0) continue;
    const isWithoutIpv6 = isIpv6 && NO_IPV6.includes(-result);
    if (optional === 0 || !isWithoutIpv6) {
      throw settingFailure(result, purpose, namespace, isWithoutIpv6);
    }
    leftOut = optional - 1;
  }
}

/** One request of netlink. */
export interface TapRequest {
  /** For the message when it fails. */
  readonly purpose: string;
  readonly message: Uint8Array;
  readonly isIpv6: boolean;
  /** How many requests, this one included, are skipped where the namespace has no IPv6; 0: it must succeed. */
  readonly optional: number;
}

/**
 * The requests that bring up lo and a TAP with its addresses and default routes, in order.
 * @param tap its index
 */
export function tapRequests(
  tap: number,
  name: string,
  settings: TapSettings,
): readonly TapRequest[] {
  const { plans, metric, ...link } = settings;
  const { mtu } = link;
  const request = (
    purpose: string,
    message: Uint8Array,
    isIpv6 = false,
    optional = 0,
  ): TapRequest => ({ purpose, message, isIpv6, optional });
  const routes = metric === null ? 0 : 1;
  const isIpv6Only = plans.every(({ guest }) => guest.family === 6);
  return [
    request("bring up lo", linkUp(LOOPBACK_IFINDEX)),
    request(`set ${name} to MTU ${mtu}`, setLink(tap, link)),
    request(`bring up ${name}`, linkUp(tap)),
    ...plans.flatMap(({ guest, prefix, router }) => {
      const address = addAddress(tap, guest, prefix.length);
      const isIpv6 = guest.family === 6;
      const optional = isIpv6 && !isIpv6Only ? 1 + routes : 0;
      const given = request(`give ${name} the address ${guest}`, address, isIpv6, optional);
      if (metric === null) return [given];
      const route = addDefaultRoute(tap, router, metric);
      return [given, request(`make ${router} the default gateway`, route, isIpv6)];
    }),
  ];
}
