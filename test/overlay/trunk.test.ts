import { expect, test } from "vitest";
import { linkLocalOf } from "../../src/base/mac.js";
import { networkMac, parseAddress, parseSubnet } from "../../src/network/plans.js";
import { Trunk } from "../../src/overlay/trunk.js";
import type { RemoteIdentity } from "../../src/overlay/tunnel.js";

function trunk(): Trunk {
  const subnets = [parseSubnet("10.101.0.0/16", "10.101.0.1")];
  const carrier = { kind: "vxlan", vni: 42 } as const;
  return new Trunk(
    { id: "ov", subnets, mtu: 1450, carrier },
    { placeOf: () => null, tunnelOf: () => null, onSites: () => undefined },
  );
}

function identity(host: string, mac: number, ...addresses: readonly string[]): RemoteIdentity {
  return { mac, addresses: addresses.map(parseAddress), location: { kind: "host", host } };
}

function placeOf(of: Trunk, address: string): string | undefined {
  return of.ownerOf(parseAddress(address))?.site.key;
}

test("a member has its addresses and the link-local one of its MAC until it is removed", () => {
  const here = trunk();
  const remove = here.add(identity("a", 0x0242_0000_0002, "10.101.0.2"));
  expect(placeOf(here, "10.101.0.2")).toBe("host a");
  expect(placeOf(here, `${linkLocalOf(0x0242_0000_0002)}`)).toBe("host a");
  expect(here.remoteAt(0x0242_0000_0002)?.site.key).toBe("host a");
  expect(here.copies).toBe(1);
  remove();
  expect(placeOf(here, "10.101.0.2")).toBeUndefined();
  expect(here.remoteAt(0x0242_0000_0002)).toBeNull();
  expect(here.copies).toBe(0);
});

test("a member that moves is at its new host when the old one is withdrawn, in whatever order", () => {
  const here = trunk();
  const old = here.add(identity("a", 0x0242_0000_0002, "10.101.0.2"));
  const moved = here.add(identity("b", 0x0242_0000_0002, "10.101.0.2"));
  expect(placeOf(here, "10.101.0.2")).toBe("host a");
  old();
  expect(placeOf(here, "10.101.0.2")).toBe("host b");
  expect(here.copies).toBe(1);
  moved();
  expect([here.copies, here.remoteAt(0x0242_0000_0002)]).toEqual([0, null]);
});

test("nobody takes another's address, and gets it when that one is gone", () => {
  const here = trunk();
  const first = here.add(identity("a", 0x0242_0000_0002, "10.101.0.2"));
  here.add(identity("b", 0x0242_0000_0003, "10.101.0.2"));
  expect(placeOf(here, "10.101.0.2")).toBe("host a");
  expect(here.remoteAt(0x0242_0000_0003)?.addresses).toEqual([]);
  first();
  expect(placeOf(here, "10.101.0.2")).toBe("host b");
});

test("nobody takes what is the gateway's, a group's, or of another subnet", () => {
  const here = trunk();
  here.add(identity("a", networkMac(here.network.subnets), "10.101.0.2"));
  here.add(identity("a", 0x0342_0000_0002, "10.101.0.3"));
  expect(here.copies).toBe(0);
  here.add(identity("a", 0x0242_0000_0002, "10.101.0.1", "10.102.0.1"));
  expect(here.remoteAt(0x0242_0000_0002)?.addresses).toEqual([]);
  for (const address of ["10.101.0.1", "10.101.0.2", "10.102.0.1"])
    expect(placeOf(here, address)).toBeUndefined();
});
