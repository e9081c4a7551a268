import { expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { DEFAULT_PREFIX, planFor } from "../../src/base/plan.js";
import { announcement } from "../../src/cli/announcement.js";
import type { AttachConfig } from "../../src/cli/command-line.js";
import { guestConfig, guestResolvConf } from "../../src/cli/network.js";

const plan = planFor(DEFAULT_PREFIX);

test("the guest's resolv.conf names our DNS and keeps how names are searched", () => {
  const host = [
    "# made by hand",
    "nameserver 203.0.113.53",
    "search example.org example.net",
    "options edns0 trust-ad",
    "nameserver 2001:db8::53",
    "",
  ].join("\n");
  expect(guestResolvConf(host, plan.dns)).toBe(
    "nameserver 10.0.2.3\nsearch example.org example.net\noptions edns0 trust-ad\n",
  );
});

test("a host without resolv.conf gives a guest our DNS and no resolvers behind it", () => {
  expect(guestResolvConf("", plan.dns)).toBe("nameserver 10.0.2.3\n");
  expect(guestConfig({ mtu: 1500, plan, hostLoopback: false }, "").resolvers).toEqual([]);
});

test("a guest's DNS is forwarded to the host's resolvers in their order", () => {
  const text = "nameserver 203.0.113.53\nnameserver 2001:db8::53\n";
  const { resolvers } = guestConfig({ mtu: 1500, plan, hostLoopback: false }, text);
  expect(resolvers).toEqual([Address.parse("203.0.113.53"), Address.parse("2001:db8::53")]);
});

const attachment: AttachConfig = {
  network: { mtu: 65520, plan, hostLoopback: true },
  tap: "tap0",
  target: { netns: "/proc/42/ns/net", userns: null, pid: 42 },
  configure: true,
  readyFd: null,
  exitFd: null,
  announcement: "slirp4netns",
};

test("slirp4netns announces the network in the words of slirp4netns 1.2", () => {
  expect(announcement(attachment)).toBe(`Starting slirp
* MTU:             65520
* Network:         10.0.2.0
* Netmask:         255.255.255.0
* Gateway:         10.0.2.2
* DNS:             10.0.2.3
* DHCP begin:      10.0.2.15
* DHCP end:        10.0.2.30
* Recommended IP:  10.0.2.100
WARNING: 127.0.0.1:* on the host is accessible as 10.0.2.2 (set --disable-host-loopback to prohibit connecting to 127.0.0.1:*)
`);
});

test("slirp4netns does not warn of a host loopback that is not reachable", () => {
  const network = { ...attachment.network, hostLoopback: false };
  expect(announcement({ ...attachment, network })).toMatch(/Recommended IP: {2}10.0.2.100\n$/);
});

test("attach announces the network in one line", () => {
  expect(announcement({ ...attachment, announcement: "slipway" })).toBe(
    "tap0 is up: 10.0.2.100/24, gateway 10.0.2.2, DNS 10.0.2.3, MTU 65520; it ends with process 42\n",
  );
});
