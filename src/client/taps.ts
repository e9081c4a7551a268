import { parseMac } from "../base/mac.js";
import { defaultRoute } from "../config/address-plan.js";
import { TXQUEUELEN } from "../config/constants.js";
import { hasInterface } from "../netns/agent.js";
import type { Namespace } from "../netns/namespace.js";
import { openTap, type TapSettings } from "../netns/tap.js";
import { memberPlan, parseAddress, parseSubnet } from "../network/plans.js";
import type { GivenAttachment } from "../rpc/messages.js";

/** Metric of the default route through eth0. That of ethN is N more, so it is used when the lower ones are gone. */
const FIRST_METRIC = 100;

/** Names from eth0 to eth999 are tried. */
const MOST_INTERFACES = 1_000;

/** The interface of an attachment. */
export interface AttachmentTap {
  readonly ifname: string;
  /** A handle of the addon; the caller's to close. */
  readonly tap: number;
}

/**
 * Opens the TAP of an attachment in a namespace, with its addresses and routes.
 * @throws UserError
 */
export function openAttachment(namespace: Namespace, given: GivenAttachment): AttachmentTap {
  const ifname = given.ifname ?? freeName(namespace);
  const { fd: tap } = openTap(namespace, ifname, tapSettings(given, ifname));
  return { ifname, tap };
}

/** The settings of an attachment's TAP. */
export function tapSettings(given: GivenAttachment, ifname: string): TapSettings {
  const mac = parseMac(given.mac);
  const metric = metricOf(ifname);
  return {
    plans: given.addresses.map(({ address, subnet, gateway }) => {
      const plan = memberPlan(parseSubnet(subnet, gateway), parseAddress(address));
      return { ...plan, routes: given.internal ? [] : [defaultRoute(plan.router, metric)] };
    }),
    mtu: given.mtu,
    txqueuelen: TXQUEUELEN,
    ...(mac === null ? {} : { mac }),
  };
}

function freeName(namespace: Namespace): string {
  for (let index = 0; index < MOST_INTERFACES; index += 1) {
    if (!hasInterface(namespace, `eth${index}`)) return `eth${index}`;
  }
  return "eth";
}

function metricOf(ifname: string): number {
  const [, index] = /^eth(\d{1,4})$/.exec(ifname) ?? [];
  return FIRST_METRIC + (index === undefined ? MOST_INTERFACES : Number(index));
}
