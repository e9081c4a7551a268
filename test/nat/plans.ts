import { LOOPBACK, Prefix } from "../../src/base/address.js";
import {
  type AddressPlan,
  DEFAULT_PREFIX,
  defaultRoute,
  planFor,
  withHostLoopback,
} from "../../src/config/address-plan.js";
import { address } from "../base/addresses.js";

/** Networks of Slipway's own; OWN_OPEN has the host's loopback at their gateways. */
export const OWN = [planFor(DEFAULT_PREFIX[4]), planFor(DEFAULT_PREFIX[6])];
export const OWN_OPEN = OWN.map(withHostLoopback);

const SHADOWED = { 4: address("192.0.2.10"), 6: address("2001:db8:1::10") };

function copiedPlan(changes: Partial<AddressPlan> & Pick<AddressPlan, "guest">): AddressPlan {
  const { guest } = changes;
  const router = address(guest.family === 4 ? "192.0.2.1" : "fe80::1");
  return {
    prefix: Prefix.of(guest, guest.family === 4 ? 24 : 64),
    gateway: router,
    router,
    dns: address(guest.family === 4 ? "169.254.1.1" : "fd00:1::53"),
    nameServers: [],
    others: [],
    routes: [defaultRoute(router)],
    dhcpBegin: guest,
    dhcpEnd: guest,
    mapped: [],
    neighbors: "host",
    ...changes,
  };
}

/** A copy of an interface of the host with two addresses of each family; no address leads elsewhere. */
export const COPIED: readonly AddressPlan[] = [
  copiedPlan({
    guest: SHADOWED[4],
    others: [{ address: address("203.0.113.200"), length: 25 }],
  }),
  copiedPlan({
    guest: SHADOWED[6],
    others: [{ address: address("2001:db8:2::20"), length: 64 }],
  }),
];

/** The same with everything that can be mapped: the router to the loopback, and one more to the shadowed address. */
export const COPIED_OPEN: readonly AddressPlan[] = COPIED.map((plan) => {
  const { family } = plan.guest;
  const at = address(family === 4 ? "169.254.1.2" : "fd00:1::2");
  return {
    ...plan,
    mapped: [
      { at: plan.router, to: LOOPBACK[family] },
      { at, to: plan.guest },
    ],
  };
});

/** The copy of an address without neighbours, as clouds give it. */
export const ALONE = copiedPlan({
  guest: SHADOWED[4],
  prefix: Prefix.of(SHADOWED[4], 32),
});
