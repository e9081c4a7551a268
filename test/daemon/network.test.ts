import { expect, test } from "vitest";
import { Address, Prefix } from "../../src/base/address.ts";
import { formatMac, parseMac } from "../../src/base/mac.ts";
import { Network } from "../../src/daemon/network.ts";

function networkOf(...texts: readonly string[]): Network {
  const subnets = texts.map((text) => {
    const prefix = Prefix.parse(text);
    return { prefix, gateway: prefix.address.plus(1), range: prefix };
  });
  return new Network({
    id: "a".repeat(64),
    name: "web",
    created: 0,
    subnets,
    internal: false,
    mtu: 1500,
    labels: {},
    options: {},
    carriage: null,
  });
}

function macOf(network: Network, address: string, mac: string | null = null): string {
  const wanted = Address.parse(address);
  const given = mac === null ? null : parseMac(mac);
  return formatMac(network.reserve(wanted === null ? [] : [wanted], given, address).mac);
}

test("a MAC is made of the IPv4 address, or of the IPv6 address where that is alone", () => {
  expect(macOf(networkOf("10.89.0.0/24", "fd00::/64"), "10.89.0.7")).toBe("02:42:0a:59:00:07");
  expect(macOf(networkOf("fd00::/64"), "fd00::7")).toBe("02:42:00:00:00:07");
});

test("a MAC is the next one where it is taken", () => {
  const network = networkOf("fd00::/64");
  expect(macOf(network, "fd00::1:0:0:7")).toBe("02:42:00:00:00:07");
  expect(macOf(network, "fd00::2:0:0:7")).toBe("02:42:00:00:00:08");
  expect(macOf(network, "fd00::7")).toBe("02:42:00:00:00:09");
  expect(macOf(network, "fd00::1:ffff:ffff")).toBe("02:42:ff:ff:ff:ff");
  expect(macOf(network, "fd00::2:ffff:ffff")).toBe("02:42:00:00:00:00");
});

test("a MAC that another member was given by name is not chosen, but refused by name", () => {
  const network = networkOf("10.89.0.0/24");
  expect(macOf(network, "10.89.0.9", "02:42:0a:59:00:07")).toBe("02:42:0a:59:00:07");
  expect(macOf(network, "10.89.0.7")).toBe("02:42:0a:59:00:08");
  expect(() => macOf(network, "10.89.0.10", "02:42:0a:59:00:08")).toThrow(
    "MAC 02:42:0a:59:00:08 on network web is taken by 10.89.0.7: choose another",
  );
});
