import { describe, expect, test } from "vitest";
import type { Family } from "../../src/base/address.js";
import type { AddressPlan } from "../../src/config/address-plan.js";
import { appearanceOf, appearanceOfPeer } from "../../src/nat/appearance.js";
import { address } from "../base/addresses.js";
import { COPIED, COPIED_OPEN, OWN, OWN_OPEN } from "./plans.js";

function seen(plans: readonly AddressPlan[], client: string, family: Family): string {
  return `${appearanceOf({ plans }, address(client), family)}`;
}

describe.each([
  ["open", OWN_OPEN],
  ["closed", OWN],
])("on a network of Slipway's own, host loopback %s, a client appears", (_, plans) => {
  test.each<[string, Family]>([
    ["198.51.100.1", 4],
    ["192.168.1.7", 4],
    ["2001:db8::1", 6],
    ["fd00:0:0:1::7", 6],
  ])("as itself: %s", (client, family) => {
    expect(seen(plans, client, family)).toBe(client);
  });

  test.each<[string, Family, string]>([
    ["127.0.0.1", 4, "10.0.2.2"],
    ["127.8.8.8", 4, "10.0.2.2"],
    ["169.254.3.4", 4, "10.0.2.2"],
    ["10.0.2.100", 4, "10.0.2.2"],
    ["10.0.2.7", 4, "10.0.2.2"],
    ["::1", 6, "fd00::2"],
    ["fe80::5", 6, "fd00::2"],
    ["fd00::64", 6, "fd00::2"],
    ["198.51.100.1", 6, "fd00::2"],
    ["2001:db8::1", 4, "10.0.2.2"],
  ])("as the gateway, if it could not be answered: %s to IPv%i", (client, family, gateway) => {
    expect(seen(plans, client, family)).toBe(gateway);
  });
});

describe("where the guest has the host's addresses, a client appears", () => {
  test.each<[string, string, Family]>([
    ["of the world", "198.51.100.1", 4],
    ["of the world", "2001:db8:9::1", 6],
    ["a neighbour", "192.0.2.77", 4],
    ["a neighbour", "2001:db8:1::77", 6],
    ["a neighbour of a further address", "203.0.113.130", 4],
    ["a neighbour of a further address", "2001:db8:2::77", 6],
  ])("as itself: %s, %s", (_, client, family) => {
    expect(seen(COPIED, client, family)).toBe(client);
    expect(seen(COPIED_OPEN, client, family)).toBe(client);
  });

  test.each<[string, string, Family, string, string]>([
    ["the host at the shadowed address", "192.0.2.10", 4, "169.254.1.2", "192.0.2.1"],
    ["the host at the shadowed address", "2001:db8:1::10", 6, "fd00:1::2", "fe80::1"],
    ["the host at a further one", "203.0.113.200", 4, "192.0.2.1", "192.0.2.1"],
    ["the host at a further one", "2001:db8:2::20", 6, "fe80::1", "fe80::1"],
    ["the loopback", "127.0.0.1", 4, "192.0.2.1", "192.0.2.1"],
    ["elsewhere on the loopback", "127.8.8.8", 4, "192.0.2.1", "192.0.2.1"],
    ["the loopback", "::1", 6, "fe80::1", "fe80::1"],
    ["the loopback of the other family", "::1", 4, "192.0.2.1", "192.0.2.1"],
    ["the other family", "198.51.100.1", 6, "fe80::1", "fe80::1"],
    ["the other family", "2001:db8:1::10", 4, "192.0.2.1", "192.0.2.1"],
    ["link-local", "169.254.3.4", 4, "192.0.2.1", "192.0.2.1"],
    ["link-local", "fe80::5", 6, "fe80::1", "fe80::1"],
  ])("as a mapped address, or as the gateway: %s, %s to IPv%i", (...row) => {
    const [, client, family, open, closed] = row;
    expect(seen(COPIED_OPEN, client, family)).toBe(open);
    expect(seen(COPIED, client, family)).toBe(closed);
  });

  test("on the loopback as the address that leads there, which need not be the gateway", () => {
    const [plan] = COPIED;
    const at = address("169.254.9.9");
    const mapped = [{ at, to: address("127.0.0.1") }];
    expect(seen([{ ...plan, mapped }], "127.0.0.1", 4)).toBe("169.254.9.9");
    expect(seen([{ ...plan, mapped }], "127.8.8.8", 4)).toBe("169.254.9.9");
  });
});

describe("who sends to a port that the guest has sent to the world from appears", () => {
  test.each(["198.51.100.1", "169.254.169.254", "192.0.2.77", "2001:db8::1"])(
    "as itself: %s",
    (peer) => {
      expect(`${appearanceOfPeer({ plans: COPIED_OPEN }, address(peer))}`).toBe(peer);
      expect(`${appearanceOfPeer({ plans: OWN }, address(peer))}`).toBe(peer);
    },
  );

  test.each([
    ["192.0.2.10", "169.254.1.2"],
    ["203.0.113.200", "192.0.2.1"],
    ["2001:db8:1::10", "fd00:1::2"],
  ])("elsewhere, as the guest has the address, too: %s", (peer, elsewhere) => {
    expect(`${appearanceOfPeer({ plans: COPIED_OPEN }, address(peer))}`).toBe(elsewhere);
  });
});
