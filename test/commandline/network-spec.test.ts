import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../../src/commandline/command-line.js";

function create(line: string): unknown {
  return parseCommandLine("slipway", ["network", "create", ...line.split(" ")]);
}

test("the definition of a network that is right in itself", () => {
  const line =
    "--subnet 10.90.0.0/16 --subnet fd00:7::/64 --gateway 10.90.0.254 --ip-range 10.90.4.0/24 -o mtu=9000 --label a=b my_net";
  expect(create(line)).toMatchObject({
    request: {
      spec: {
        name: "my_net",
        subnets: ["10.90.0.0/16", "fd00:7::/64"],
        gateways: ["10.90.0.254"],
        ranges: ["10.90.4.0/24"],
        options: { mtu: "9000" },
        labels: { a: "b" },
      },
    },
  });
});

test("one MTU may be given in two ways", () => {
  expect(create("-o mtu=1400 --mtu 1400 x")).toMatchObject({ request: { spec: { mtu: 1400 } } });
});

describe("what is wrong in itself is a usage error, before the daemon is asked", () => {
  test.each([
    ["_net", '"_net" cannot be a network\'s name: begin with a letter or digit'],
    [`${"n".repeat(64)}`, "63 at most between dots"],
    ["host", "network host is always there: choose another name"],
    ["Bridge", "network bridge is always there: choose another name"],
    ["slirp", '"slirp" cannot be a network\'s name: choose one other than slirp, container'],
    [
      "--subnet 10.90.2 x",
      '--subnet "10.90.2": invalid CIDR; write one like 10.89.7.0/24 or fd00:7::/64',
    ],
    ["--subnet 10.90.2.1/24 x", "needs to be a network address like 10.90.2.0/24"],
    ["--subnet 10.90.2.0/31 x", "is too small: the prefix length must be 30 or less"],
    ["--subnet fd00::/127 x", "is too small: the prefix length must be 126 or less"],
    ["--subnet 224.0.0.0/8 x", "take a private one, such as 10.89.7.0/24"],
    ["--subnet fe80::/64 x", "take a private one, such as fd00:7::/64"],
    [
      "--subnet 10.1.0.0/16 --subnet 10.2.0.0/16 x",
      "--subnet is given twice for IPv4: give it once",
    ],
    ["--gateway ten x", '--gateway "ten" is not an address: write one like'],
    ["--gateway 10.1.0.1 x", "--gateway needs an IPv4 subnet: give that by --subnet, too"],
    ["--subnet 10.1.0.0/16 --gateway fd00::1 x", "--gateway needs an IPv6 subnet"],
    [
      "--subnet 10.1.0.0/16 --gateway 10.2.0.1 x",
      "--gateway 10.2.0.1 is not an address in 10.1.0.0/16",
    ],
    ["--subnet 10.1.0.0/16 --gateway 10.1.255.255 x", "is not an address in 10.1.0.0/16"],
    [
      "--subnet 10.1.0.0/16 --ip-range 10.0.0.0/8 x",
      "--ip-range 10.0.0.0/8 is outside of 10.1.0.0/16",
    ],
    ["--ip-range 10.1.0.0 x", '--ip-range "10.1.0.0": invalid CIDR'],
    ["--ipv6 --mtu 1200 x", "MTU 1200 is too small for IPv6: give 1280 or more"],
    ["--opt mtu=67 x", "--opt mtu 67 is too small: give a number from 68 to 65521"],
    ["-o mtu=1400 --mtu 1300 x", '--mtu=1300 and --opt mtu="1400" are two MTUs: give one'],
    ["-o mtu=1400 -o com.docker.network.driver.mtu=1500 x", "are two MTUs: give one of them"],
    ["--opt icc=false x", '--opt "icc=false" is unknown: there are mtu=BYTES'],
  ])("%s", (line, sentence) => {
    expect(() => create(line)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(sentence), exitStatus: 2 }),
    );
  });
});
