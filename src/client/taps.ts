import { hasInterface, type Namespace, openTap, type TapSettings } from "../attach.js";
import { Address, Prefix } from "../base/address.js";
import { TXQUEUELEN } from "../base/constants.js";
import { parseMac } from "../base/mac.js";
import type { AddressPlan } from "../base/plan.js";
import type { GivenPort } from "../protocol/messages.js";

/** Of the default route through eth0; each further interface's is one more, so that it takes over. */
const FIRST_METRIC = 100;

/** Interfaces of a namespace that are tried. */
const MOST_INTERFACES = 1_000;

/** The TAP of a place on a network. */
export interface PortTap {
  readonly ifname: string;
  /** A handle of the addon. */
  readonly tap: number;
}

/**
 * Opens the TAP of a place on a network in a namespace, with its addresses and routes.
 * @throws UserError
 */
export function openPort(namespace: Namespace, port: GivenPort): PortTap {
  const ifname = port.ifname ?? freeName(namespace);
  const { fd: tap } = openTap(namespace, ifname, portSettings(port, ifname));
  return { ifname, tap };
}

/** What is set for a place on a network. */
export function portSettings(port: GivenPort, ifname: string): TapSettings {
  const mac = parseMac(port.mac);
  return {
    plans: port.addresses.map(planOf),
    mtu: port.mtu,
    txqueuelen: TXQUEUELEN,
    ...(mac === null ? {} : { mac }),
    metric: port.internal ? null : metricOf(ifname),
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

function planOf({ address, subnet, gateway }: GivenPort["addresses"][number]): AddressPlan {
  const [guest, router] = [address, gateway].map((text) => {
    const parsed = Address.parse(text);
    if (parsed === null) throw new Error(`the daemon gave ${text} for an address`);
    return parsed;
  });
  const prefix = Prefix.parse(subnet);
  return { prefix, gateway: router, router, dns: router, guest, dhcpBegin: guest, dhcpEnd: guest };
}
