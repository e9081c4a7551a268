import { describe, expect, test } from "vitest";
import { Prefix } from "../../src/base/address.ts";
import { freeSubnet, overlaps, parseRoutes, uniqueLocalSubnet } from "../../src/network/subnets.ts";

describe("free subnets", () => {
  test.each([
    ["10.89.0.0/24", "10.89.0.128/25", true],
    ["10.89.0.128/25", "10.89.0.0/24", true],
    ["10.89.0.0/24", "10.89.1.0/24", false],
    ["fd00::/8", "fd12:3456::/32", true],
    ["0.0.0.0/0", "fd00::/8", false],
  ])("%s and %s overlap: %s", (a, b, expected) => {
    expect(overlaps(Prefix.parse(a), Prefix.parse(b))).toBe(expected);
  });

  test("the first without overlap is chosen", () => {
    const taken = ["10.89.0.0/23", "10.89.2.128/25"].map((text) => Prefix.parse(text));
    expect(`${freeSubnet(taken, false)}`).toBe("10.89.3.0/24");
    expect(`${freeSubnet(taken, true)}`).toBe("10.200.0.0/24");
    expect(freeSubnet([Prefix.parse("10.0.0.0/8")], true)).toBeNull();
  });

  test("unique local subnets have 56 random bits and are a /64", () => {
    const prefix = uniqueLocalSubnet(Uint32Array.of(0xff12_3456, 0x789a_bcde));
    expect(`${prefix}`).toBe("fd12:3456:789a::/64");
  });
});

describe("the host's routes", () => {
  // Both as Linux 6.18 prints them.
  const ipv4 = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t016433C6\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0
`;
  const ipv6 = `20010db8000000010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000010000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0
`;

  test("of IPv4, without default routes", () => {
    expect(parseRoutes(ipv4, 4).map(String)).toEqual(["198.51.100.0/24", "10.0.0.0/8"]);
  });

  test("of IPv6, without those of every link", () => {
    expect(parseRoutes(ipv6, 6).map(String)).toEqual(["2001:db8:0:1::/64"]);
  });
});
