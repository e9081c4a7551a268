import { constants } from "node:os";
import { linkLocalOf, type Mac } from "../base/mac.js";
import { type AddressPlan, addressesOf, type Route } from "../config/address-plan.js";
import * as abi from "../rpc/launcher-abi.js";
import { native } from "../sys/native.js";
import { addAddress, addRoute, LOOPBACK_IFINDEX, linkUp, setLink } from "../wire/rtnetlink.js";
import { openAgent, type Resident, residentOf } from "./agent.js";
import { settingFailure, systemFailure } from "./failure.js";
import type { Namespace } from "./namespace.js";

/** Errnos of a namespace without IPv6, in which the requests for IPv6 are skipped. */
const NO_IPV6: readonly number[] = abi.NO_IPV6.map((name) => constants.errno[name]);

/** Bits of the network of a link-local address (RFC 4291 §2.5.6). */
const LINK_LOCAL_LENGTH = 64;

/** What to configure in the namespace. */
export interface TapSettings {
  readonly plans: readonly AddressPlan[];
  /** In bytes, without the Ethernet header; absent: as it is. */
  readonly mtu?: number;
  /** Length of the TAP's queue, in frames: the kernel silently drops what exceeds it. */
  readonly txqueuelen: number;
  /** Of the TAP; absent: the one that the kernel gave it. */
  readonly mac?: Mac;
  /** Whether it is brought up; absent: yes. */
  readonly isUp?: boolean;
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
  const { tap, resident } = openTapAndStay(namespace, name, settings);
  resident.close();
  return tap;
}

/** As openTap(), with the agent that has done it. @throws UserError */
export function openTapAndStay(
  namespace: Namespace,
  name: string,
  settings: TapSettings | null,
): { readonly tap: Tap; readonly resident: Resident } {
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
    return { tap: { fd, vnetHeader: true }, resident: residentOf(agent) };
  } catch (error) {
    native.closeAgent(agent);
    throw error;
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
 * The requests that bring up lo and a TAP with its addresses and routes, in order.
 * @param tap its index
 */
export function tapRequests(
  tap: number,
  name: string,
  settings: TapSettings,
): readonly TapRequest[] {
  const { plans, isUp = true, ...link } = settings;
  const isIpv6Only = plans.every(({ guest }) => guest.family === 6);
  return [
    must("bring up lo", linkUp(LOOPBACK_IFINDEX)),
    must(
      `set ${link.mtu === undefined ? "the queue" : `MTU ${link.mtu}`} of ${name}`,
      setLink(tap, link),
    ),
    ...(isUp ? [...linkLocal(tap, name, settings), must(`bring up ${name}`, linkUp(tap))] : []),
    ...plans.flatMap((plan) => {
      const requests = planRequests(tap, name, plan);
      const isIpv6 = plan.guest.family === 6;
      const optional = isIpv6 && !isIpv6Only ? requests.length : 0;
      return requests.map((request, index) => ({
        ...request,
        isIpv6,
        optional: index === 0 ? optional : 0,
      }));
    }),
  ];
}

/**
 * The link-local address that the kernel makes of the MAC (RFC 4291, appendix A), before it makes it: the kernel would look
 * for duplicates first, and the address be of no use for a second or two.
 */
function linkLocal(tap: number, name: string, { plans, mac }: TapSettings): readonly TapRequest[] {
  if (mac === undefined || !plans.some(({ guest }) => guest.family === 6)) return [];
  const address = linkLocalOf(mac);
  const message = addAddress(tap, { address, length: LINK_LOCAL_LENGTH });
  return [{ purpose: `give ${name} the address ${address}`, message, isIpv6: true, optional: 1 }];
}

/** The first is for an address. */
function planRequests(tap: number, name: string, plan: AddressPlan): readonly TapRequest[] {
  const addresses = addressesOf(plan).map((each) =>
    must(`give ${name} the address ${each.address}`, addAddress(tap, each)),
  );
  const routes = plan.routes.map((route) => must(purposeOf(route), addRoute(tap, route)));
  return [...addresses, ...routes];
}

function purposeOf({ destination, via }: Route): string {
  if (destination.length === 0) return `make ${via} the default gateway`;
  return `route ${destination} ${via === null ? "to the link" : `through ${via}`}`;
}

function must(purpose: string, message: Uint8Array): TapRequest {
  return { purpose, message, isIpv6: false, optional: 0 };
}
