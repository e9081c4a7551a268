import { describe, expect, test } from "vitest";
import type { AttachConfig, NetworkOptions } from "../../src/commandline/invocation.js";
import { DEFAULT_PREFIX, planFor } from "../../src/config/address-plan.js";
import { HOST_GATEWAY } from "../../src/config/constants.js";
import type { Upstream } from "../../src/config/dns-config.js";
import { DEFAULT_TIMEOUTS } from "../../src/config/guest-config.js";
import { DEFAULT_LIMITS } from "../../src/config/limits.js";
import { guestConfig } from "../../src/host/guest-config.js";
import { guestResolvConf, memberResolvConf } from "../../src/host/guest-resolv-conf.js";
import { announcement } from "../../src/host/output/announcement.js";
import { address } from "../base/addresses.js";

const plan = planFor(DEFAULT_PREFIX[4]);

const network: NetworkOptions = {
  mtu: 65520,
  ipv4: plan,
  ipv6: { plan: planFor(DEFAULT_PREFIX[6]), when: "never" },
  hostLoopback: true,
  dns: { servers: [], search: [], records: [] },
  outbound: { 4: null, 6: null },
  udpFiltering: "endpoint",
  timeouts: DEFAULT_TIMEOUTS,
  memoryBudget: 64 * 1024 * 1024,
  limits: DEFAULT_LIMITS,
};
const noUpstream: Upstream = { servers: [], search: [] };

describe("the guest's resolv.conf", () => {
  const host = [
    "# made by hand",
    "nameserver 203.0.113.53",
    "search example.org example.net",
    "options edns0 trust-ad",
    "nameserver 2001:db8::53",
    "",
  ].join("\n");

  test("names our DNS and keeps the host's search settings", () => {
    expect(guestResolvConf(host, [plan.dns], [], [])).toBe(
      "nameserver 10.0.2.3\nsearch example.org example.net\noptions edns0 trust-ad\n",
    );
  });

  test("has the given domains instead of the host's, and further options", () => {
    expect(guestResolvConf(host, [plan.dns], ["a.example", "b.example"], ["ndots:2"])).toBe(
      "nameserver 10.0.2.3\nsearch a.example b.example\noptions edns0 trust-ad\noptions ndots:2\n",
    );
  });

  test.each([
    [[], "options ndots:0\n"],
    [["rotate"], "options ndots:0 rotate\n"],
    [["ndots:2"], "options ndots:2\n"],
  ])("of a member has options %j besides ours, or in their place", (options, line) => {
    expect(memberResolvConf("", [], [], options)).toBe(line);
  });

  test("is made if the host has none", () => {
    expect(guestResolvConf("", [plan.dns], [], [])).toBe("nameserver 10.0.2.3\n");
  });
});

describe("a guest's DNS", () => {
  const upstream: Upstream = {
    servers: [address("203.0.113.53"), address("2001:db8::53")],
    search: ["example.org"],
  };

  test("uses the host's present servers and search domains", () => {
    const { dns } = guestConfig(network, upstream, null);
    expect(dns?.upstream.servers).toEqual(upstream.servers);
    expect(dns?.upstream.search).toEqual(upstream.search);
  });

  test("uses the given servers and search domains", () => {
    const given = { servers: [address("192.0.2.1")], search: ["corp.example"], records: [] };
    const { dns } = guestConfig({ ...network, dns: given }, upstream, null);
    expect(dns?.upstream.servers).toEqual(given.servers);
    expect(dns?.upstream.search).toEqual(given.search);
  });

  test("knows the host, the guest and the given names", () => {
    const records = ["192.0.2.1", "2001:db8::1"].map((text) => ({
      name: "db.example",
      address: address(text),
    }));
    const ipv6 = { ...network.ipv6, when: "always" } as const;
    const dns = { servers: [], search: [], records };
    const config = guestConfig({ ...network, ipv6, dns }, noUpstream, "Box");
    const names = ["host.containers.internal", "host.docker.internal", "box", "db.example"];
    const known = names.map((name) => [name, config.dns?.records.get(name, "A")?.join(" ")]);
    expect(known).toEqual([
      ["host.containers.internal", "10.0.2.2 fd00::2"],
      ["host.docker.internal", "10.0.2.2 fd00::2"],
      ["box", "10.0.2.100 fd00::64"],
      ["db.example", "192.0.2.1 2001:db8::1"],
    ]);
  });

  test("has host-gateway and the host's names at the gateway with --host-loopback", () => {
    const records = [{ name: "me", address: HOST_GATEWAY }] as const;
    const dns = { servers: [], search: [], records };
    const config = guestConfig({ ...network, dns }, noUpstream, null);
    for (const name of ["me", "host.docker.internal"]) {
      expect(config.dns?.records.get(name, "A")?.join()).toBe("10.0.2.2");
    }
  });

  test("is absent if disabled", () => {
    expect(guestConfig({ ...network, dns: null }, upstream, null).dns).toBeNull();
  });
});

test("a link with too small an MTU has no IPv6", () => {
  const ipv6 = { ...network.ipv6, when: "always" } as const;
  const families = (mtu: number) =>
    guestConfig({ ...network, mtu, ipv6 }, noUpstream, null).plans.map(({ guest }) => guest.family);
  expect(families(1280)).toEqual([4, 6]);
  expect(families(1279)).toEqual([4]);
});

test.each([
  ["127.0.0.1", "127.0.0.1"],
  ["lo", "127.0.0.1"],
])("the outbound address %s is %s", (text, expected) => {
  const outbound = { 4: { option: "--outbound-addr", source: text }, 6: null };
  const config = guestConfig({ ...network, outbound }, noUpstream, null);
  expect(String(config.outbound[4])).toBe(expected);
});

test.each(["192.0.2.250", "::1", "nodev0"])("%s is refused as an IPv4 source", (text) => {
  const outbound = { 4: { option: "--outbound-addr", source: text }, 6: null };
  expect(() => guestConfig({ ...network, outbound }, noUpstream, null)).toThrow(
    `--outbound-addr ${text} is neither an IPv4 address of this machine nor an interface`,
  );
});

const attachment: AttachConfig = {
  network,
  tap: "tap0",
  target: { kind: "namespace", netns: "/proc/42/ns/net", userns: null, pid: 42 },
  configure: true,
  readyFd: null,
  mac: null,
  exitWithNetns: false,
  exitFd: null,
  apiSocket: "none",
  maxApiClients: 256,
  publish: { ports: [], auto: null, toLoopback: false },
  stats: false,
  pcap: null,
  log: { file: null, level: null, format: "text", linesPerSecond: 100 },
  sandbox: true,
  announcement: "slirp4netns",
};

const config = guestConfig(network, noUpstream, null);

test("slirp4netns announces the network in the words of slirp4netns 1.2", () => {
  expect(announcement(attachment, config)).toBe(`Starting slirp
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
  const closed = { ...attachment, network: { ...network, hostLoopback: false } };
  expect(announcement(closed, config)).toMatch(/Recommended IP: {2}10.0.2.100\n$/);
});

test("slirp4netns announces the addresses it sends from", () => {
  const outbound = { 4: address("192.0.2.1"), 6: address("2001:db8::1") };
  expect(announcement(attachment, { ...config, outbound })).toContain(
    "* Outbound IPv4:    192.0.2.1\n* Outbound IPv6:    2001:db8::1\n",
  );
});

test("attach announces the networks in one line", () => {
  const slipway = { ...attachment, announcement: "slipway" } as const;
  expect(announcement(slipway, config)).toBe(
    "tap0 is up: 10.0.2.100/24, gateway 10.0.2.2, DNS 10.0.2.3; MTU 65520; it ends with process 42\n",
  );
  const plans = [plan, planFor(DEFAULT_PREFIX[6])];
  expect(announcement(slipway, { ...config, plans, dns: null })).toBe(
    "tap0 is up: 10.0.2.100/24, gateway 10.0.2.2; fd00::64/64, gateway fd00::2; MTU 65520; it ends with process 42\n",
  );
});
