import { describe, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import { checkPeer } from "../../src/commandline/peer-spec.js";
import { checkParams } from "../../src/rpc/messages.js";

/** What the daemon makes of `network peer add`. */
function peer(line: string) {
  const words = line.split(" ");
  const invocation = parseCommandLine("slipway", ["network", "peer", "add", ...words]);
  if (invocation.kind !== "ask daemon" || invocation.request.action !== "add peer") {
    throw new Error(`parsed as ${invocation.kind}`);
  }
  const params = checkParams("peer.add", invocation.request.spec);
  if (typeof params === "string") throw new Error(params);
  return { network: params.network, name: params.name, ...checkPeer(params) };
}

test("a WireGuard client", () => {
  const named = { network: "ov1", name: "laptop", mac: null, location: { kind: "wireguard" } };
  expect(peer("ov1 laptop --wireguard")).toEqual({ ...named, addresses: [] });
  expect(peer("ov1 laptop --wireguard --ip 10.100.9.2 --ip fd00::2")).toEqual({
    ...named,
    addresses: [Address.parse("10.100.9.2"), Address.parse("fd00::2")],
  });
});

test.each([
  ["192.0.2.9", "192.0.2.9", 4789],
  ["192.0.2.9:8472", "192.0.2.9", 8472],
  ["2001:db8::9", "2001:db8::9", 4789],
  ["[2001:db8::9]", "2001:db8::9", 4789],
  ["[2001:db8::9]:8472", "2001:db8::9", 8472],
])("a machine with a VXLAN device at %s", (text, address, port) => {
  expect(peer(`ov2 box --vtep ${text} --ip 10.101.9.2 --mac 02:00:00:00:09:02`)).toEqual({
    network: "ov2",
    name: "box",
    addresses: [Address.parse("10.101.9.2")],
    mac: 0x0200_0000_0902,
    location: { kind: "vtep", address: Address.parse(address), port },
  });
});

const MAC = "--mac 02:00:00:00:09:02";
const IP = "--ip 10.101.9.2";

describe("what is wrong in itself is a usage error", () => {
  test.each([
    ["ov1 x", "give either --wireguard or --vtep ADDRESS"],
    [`ov1 x --wireguard --vtep 192.0.2.9 ${IP} ${MAC}`, "give either --wireguard or --vtep"],
    [`ov1 x --wireguard ${MAC}`, "--mac is for --vtep: a WireGuard client has no Ethernet address"],
    [`ov1 x --vtep 192.0.2.9 ${MAC}`, "--vtep needs --ip and --mac"],
    [`ov1 x --vtep 192.0.2.9 ${IP}`, "--vtep needs --ip and --mac"],
    [`ov1 x --vtep box ${IP} ${MAC}`, '--vtep "box": write the address of its VXLAN device'],
    [`ov1 x --vtep [192.0.2.9] ${IP} ${MAC}`, "write the address of its VXLAN device"],
    [`ov1 x --vtep 192.0.2.9:0 ${IP} ${MAC}`, "--vtep port 0 is too small"],
    [`ov1 x --vtep 192.0.2.9:x ${IP} ${MAC}`, '--vtep port is "x", not a number'],
    [`ov1 x --vtep 224.0.0.1 ${IP} ${MAC}`, "is not an address of one machine"],
    [`ov1 x --vtep :: ${IP} ${MAC}`, "is not an address of one machine"],
    ["ov1 x --wireguard --ip 10.0.0.1 --ip 10.0.0.2", "--ip is given twice for IPv4"],
    ["ov1 x --wireguard --ip ten", '--ip "ten" is not an address'],
    ["ov1 _x --wireguard", '"_x" cannot be a member\'s name'],
    [`ov1 x --vtep 192.0.2.9 ${IP} --mac 01:00:5e:00:00:01`, "is not the Ethernet address of an"],
    ["ov1 --wireguard", "missing required argument 'name'"],
  ])("network peer add %s", (line, sentence) => {
    expect(() => peer(line)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(sentence), exitStatus: 2 }),
    );
  });
});
