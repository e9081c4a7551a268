import { expect, test } from "vitest";
import { hasGlobalIpv6 } from "../../src/host/host-addresses.js";

const LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo\n";
const ANYCAST_ON_LOOPBACK = "20010db8000000000000000000000053 01 80 00 80       lo\n";
const LINK_LOCAL = "fe800000000000000042c0fffea80002 0a 40 20 80     eth0\n";
const GLOBAL = "20010db8000000010000000000000002 0a 40 00 80     eth0\n";
const UNIQUE_LOCAL = "fd00000000000000000000000000abcd 1f 40 00 80   wlan0\n";

test.each([
  ["", false],
  ["nonsense\n\n", false],
  [LOOPBACK + ANYCAST_ON_LOOPBACK + LINK_LOCAL, false],
  [LOOPBACK + LINK_LOCAL + GLOBAL, true],
  [UNIQUE_LOCAL, true],
])("of the addresses %j", (table, expected) => {
  expect(hasGlobalIpv6(table)).toBe(expected);
});
