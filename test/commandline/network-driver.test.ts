import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import { checkNetwork } from "../../src/commandline/network-spec.js";
import { checkParams, type Params } from "../../src/rpc/messages.js";

/** The definition that a command line asks for. */
function specOf(line: string): Params<"network.create"> {
  const invocation = parseCommandLine("slipway", ["network", "create", ...line.split(" ")]);
  if (invocation.kind !== "ask daemon" || invocation.request.action !== "create") {
    throw new Error(`parsed as ${invocation.kind}`);
  }
  const params = checkParams("network.create", invocation.request.spec);
  if (typeof params === "string") throw new Error(params);
  return params;
}

const checked = (line: string) => checkNetwork(specOf(line));

test.each([
  ["x", { kind: "local" }, 1500],
  ["-d bridge x", { kind: "local" }, 1500],
  ["-d overlay x", { kind: "wireguard" }, 1420],
  ["-d overlay -o encrypted x", { kind: "wireguard" }, 1420],
  ["-d overlay -o encrypted=true x", { kind: "wireguard" }, 1420],
  ["-d overlay -o encrypted=false x", { kind: "vxlan", vni: null }, 1450],
  ["-d overlay -o encrypted=false -o vni=42 x", { kind: "vxlan", vni: 42 }, 1450],
  ["-d overlay -o encrypted=false -o vni=16777215 x", { kind: "vxlan", vni: 16_777_215 }, 1450],
  ["-d overlay -o mtu=8920 x", { kind: "wireguard" }, 8920],
  ["-d overlay --mtu 1380 -o encrypted=false x", { kind: "vxlan", vni: null }, 1380],
  ["-d flannel x", { kind: "flannel", prefix: "/coreos.com/network" }, 1450],
  ["-d flannel -o etcd-prefix=/lab/net/ x", { kind: "flannel", prefix: "/lab/net" }, 1450],
])("network create %s", (line, carriage, mtu) => {
  expect(checked(line)).toMatchObject({ carriage, mtu });
});

test("a flannel network has IPv4, and its lease has the subnet", () => {
  expect(checked("-d flannel x")).toMatchObject({ families: [4], subnets: [] });
});

test("an overlay has the families that are asked for, as other networks", () => {
  expect(checked("-d overlay x")).toMatchObject({ families: [4] });
  expect(checked("-d overlay --ipv6 x")).toMatchObject({ families: [4, 6] });
});

describe("what is wrong in itself is a usage error", () => {
  test.each([
    ["-d macvlan x", "--driver macvlan needs root; slipway run --host-address ADDRESS gives a"],
    ["-d ipvlan x", "--driver ipvlan needs root; slipway run --host-address"],
    ["-d host-gw x", "--driver host-gw needs root, as it sets routes of the host: take --driver o"],
    ["-d host x", "--driver host needs no network: slipway run --network host"],
    ["-d weave x", '--driver is "weave": it must be bridge, overlay or flannel'],
    ["-d overlay -o host-gw x", "--opt host-gw needs root, as it sets routes of the host"],
    ["-o host-gw=true x", "--opt host-gw needs root"],
    ["-o encrypted=false x", "--opt encrypted is for --driver overlay: give that, or leave it out"],
    ["-o vni=1 x", "--opt vni is for --driver overlay"],
    ["-d flannel -o vni=1 x", "--opt vni is for --driver overlay"],
    ["-d overlay -o etcd-prefix=/x x", "--opt etcd-prefix is for --driver flannel"],
    ["-d overlay -o encrypted=maybe x", "--opt encrypted=maybe: write"],
    ["-d overlay -o vni=42 x", "give --opt encrypted=false, too, or leave it out"],
    ["-d overlay -o encrypted=false -o vni=0 x", "--opt vni 0 is too small"],
    ["-d overlay -o encrypted=false -o vni=16777216 x", "--opt vni 16777216 is too large"],
    ["-d overlay -o encrypted=false -o vni=a x", '--opt vni is "a", not a number'],
    ["-d overlay -o x=y z", "isolate=true, which is always on, encrypted=, vni="],
    ["-d flannel -o etcd-prefix=lab x", "write it as flanneld's -etcd-prefix, such as /coreos"],
    ["-d flannel -o etcd-prefix=/a//b x", "write it as flanneld's -etcd-prefix"],
    ["-d flannel --subnet 10.1.0.0/16 x", "--subnet is not for flannel, whose lease gives this"],
    ["-d flannel --gateway 10.1.0.1 x", "--gateway is not for flannel"],
    ["-d flannel --ip-range 10.1.0.0/24 x", "--ip-range is not for flannel"],
    ["-d flannel --ipv6 x", "--ipv6 is not for flannel"],
    ["-d flannel --ipv4=false x", "--ipv4=false is not for flannel"],
    ["-d overlay --ipv6 --mtu 1200 x", "MTU 1200 is too small for IPv6"],
  ])("network create %s", (line, sentence) => {
    expect(() => specOf(line)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(sentence), exitStatus: 2 }),
    );
  });

  test("the daemon finds it by the same function", () => {
    const spec = specOf("-d overlay x");
    expect(() => checkNetwork({ ...spec, options: { vni: "42" } })).toThrow(
      "--opt vni is for VXLAN",
    );
    expect(checkParams("network.create", { name: "x", driver: "macvlan" })).toBe(
      "driver must be bridge, overlay or flannel",
    );
  });
});
