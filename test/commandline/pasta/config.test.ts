import { describe, expect, test } from "vitest";
import { address } from "../../base/addresses.js";
import { passt, pasta, refusal } from "./parse.js";

describe("what pasta connects", () => {
  test.each([
    [[], { kind: "command", command: [], ownPids: true }],
    [["--no-pidns", "true"], { kind: "command", command: ["true"], ownPids: false }],
    [["4711", "x"], { kind: "command", command: ["4711", "x"], ownPids: true }],
    [["4711"], namespace("/proc/4711/ns/net", "/proc/4711/ns/user", 4711)],
    [["--netns-only", "4711"], namespace("/proc/4711/ns/net", null, 4711)],
    [["--userns", "/u", "4711"], namespace("/proc/4711/ns/net", "/u", 4711)],
    [["--netns", "blue"], namespace("/run/netns/blue", null, null)],
    [["--netns", "./blue"], namespace("./blue", null, null)],
    [["--netns=/n", "--userns=/u"], namespace("/n", "/u", null)],
  ])("%j", (args, target) => {
    expect(pasta(...args).target).toEqual(target);
  });

  test.each([
    [["--netns", "/n", "4711"], "--netns and PID or COMMAND exclude each other"],
    [["--netns", "/n", "true"], "--netns and PID or COMMAND exclude each other"],
    [["--netns", ""], "--netns is empty"],
    [["--userns", "/u", "--netns-only", "4711"], "--userns and --netns-only exclude each other"],
    [["--userns", "/u", "true"], "--userns needs a PID or --netns"],
    [["--no-pidns", "4711"], "--no-pidns and PID or --netns exclude each other"],
    [["--no-pidns", "--netns", "/n"], "--no-pidns and PID or --netns exclude each other"],
    [["--no-splice", "--host-lo-to-ns-lo", "4711"], "--no-splice and --host-lo-to-ns-lo exclude"],
    [["--netns-only", "true"], "--netns-only needs a PID or --netns"],
    [["--splice-only", "4711"], "--splice-only is not supported"],
    [["0"], "PID 0 is too small"],
    [["99999999999"], "PID 99999999999 is too large"],
  ])("%j is refused", (args, text) => {
    expect(refusal("pasta", ...args)).toContain(text);
  });

  function namespace(netns: string, userns: string | null, pid: number | null) {
    return { kind: "namespace", netns, userns, pid };
  }
});

describe("whom passt waits for", () => {
  test.each([
    [[], { kind: "socket", path: null, isOneOff: false }],
    [["-s", "/x.sock", "-1"], { kind: "socket", path: "/x.sock", isOneOff: true }],
    [["--socket-path=/x.sock"], { kind: "socket", path: "/x.sock", isOneOff: false }],
    [["--fd", "5"], { kind: "fd", fd: 5 }],
  ])("%j", (args, target) => {
    expect(passt(...args).target).toEqual(target);
  });

  test.each([
    [["4711"], "passt takes no argument: leave out 4711"],
    [["--fd", "5", "--socket", "/x"], "--socket and --fd exclude each other"],
    [["--fd", "-1"], "--fd is"],
    [["--socket", "/".padEnd(108, "x")], "it has more than 107 bytes"],
    [["--vhost-user"], "vhost-user is not supported"],
    [["--print-capabilities"], "vhost-user is not supported"],
    [["--netns", "/n"], "unrecognized option '--netns'"],
  ])("%j is refused", (args, text) => {
    expect(refusal("passt", ...args)).toContain(text);
  });
});

describe("the guest's addresses", () => {
  test("the last of each family counts", () => {
    const { addressing } = pasta(
      ...["-a", "192.0.2.1", "-a", "2001:db8::1/64", "-a", "192.0.2.2"],
      ...["-g", "192.0.2.254", "-g", "fe80::1", "-g", "192.0.2.253", "4711"],
    );
    expect(addressing.addresses).toEqual([
      { address: address("192.0.2.2"), length: null },
      { address: address("2001:db8::1"), length: 64 },
    ]);
    expect(addressing.gateways).toEqual([address("192.0.2.253"), address("fe80::1")]);
  });

  test.each([
    ["24", 24],
    ["255.255.255.0", 24],
    ["255.255.255.255", 32],
    ["128.0.0.0", 1],
  ])("-n %s", (mask, bits) => {
    expect(pasta("-n", mask, "4711").addressing.netmask).toBe(bits);
  });

  test("-m 0 assigns none", () => {
    expect(pasta("-m", "0", "4711").addressing.mtu).toBeNull();
    expect(pasta("-m", "68", "4711").addressing.mtu).toBe(68);
    expect(pasta("4711").addressing.mtu).toBe(65_520);
  });

  test("-i names what is copied, and otherwise --outbound-if4 and -if6", () => {
    const args = ["--outbound-if4", "eth4", "--outbound-if6", "eth6", "4711"];
    expect(pasta(...args)).toMatchObject({
      addressing: { template: { 4: "eth4", 6: "eth6" } },
      outbound: {
        4: { option: "--outbound-if4", source: "eth4" },
        6: { option: "--outbound-if6", source: "eth6" },
      },
    });
    expect(pasta("-i", "eth0", ...args)).toMatchObject({
      addressing: { template: { 4: "eth0", 6: "eth0" } },
    });
  });

  test("-o of each family", () => {
    expect(pasta("-o", "192.0.2.9", "-o", "2001:db8::9", "4711").outbound).toEqual({
      4: { option: "--outbound", source: "192.0.2.9" },
      6: { option: "--outbound", source: "2001:db8::9" },
    });
  });

  test("one family alone", () => {
    expect(pasta("-4", "4711").addressing.families).toEqual([4]);
    expect(pasta("-6", "4711").addressing.families).toEqual([6]);
  });

  test("it stays as it is with --no-follow", () => {
    expect(pasta("4711").addressing.follows).toBe(true);
    expect(pasta("--no-follow", "4711").addressing.follows).toBe(false);
  });

  test("of the interface inside", () => {
    const args = ["--config-net", "-I", "foo0", "--ns-mac-addr", "02:00:5e:10:00:01"];
    expect(pasta(...args, "-M", "02:00:5e:10:00:02", "--no-copy-routes", "4711")).toMatchObject({
      addressing: {
        ifname: "foo0",
        guestMac: 0x02_00_5e_10_00_01,
        gatewayMac: 0x02_00_5e_10_00_02,
        configure: true,
        copiesAll: { addresses: true, routes: false },
      },
    });
  });

  test.each([
    [["-a", "999.1.1.1"], "Invalid address: 999.1.1.1;"],
    [["-a", "192.0.2.1/33"], "Invalid address: 192.0.2.1/33;"],
    [["-a", "192.0.2.1/24/24"], "Invalid address: 192.0.2.1/24/24;"],
    [["-a", "127.0.0.1"], "Invalid address: 127.0.0.1"],
    [["-a", "::"], "Invalid address: ::"],
    [["-a", "192.0.2.1/24", "-n", "24"], "--netmask and --address ADDRESS/LENGTH exclude"],
    [["-g", "foo"], "Invalid gateway address: foo;"],
    [["-n", "33"], "Invalid netmask: 33;"],
    [["-n", "0"], "Invalid netmask: 0;"],
    [["-n", "255.0.255.0"], "Invalid netmask: 255.0.255.0;"],
    [["-n", "0.0.0.0"], "Invalid netmask: 0.0.0.0;"],
    [["-m", "67"], "Invalid MTU: 67;"],
    [["-m", "65521"], "Invalid MTU: 65521;"],
    [["-m", "1e3"], "Invalid MTU: 1e3;"],
    [["-M", "ff:ff:ff:ff:ff:ff"], "Invalid MAC address: ff:ff:ff:ff:ff:ff;"],
    [["--ns-mac-addr", "x"], "Invalid MAC address: x;"],
    [["-i", "a/b"], "Invalid interface name: a/b;"],
    [["-I", "lo"], "Invalid interface name: lo;"],
    [["-I", "x".repeat(16)], `Invalid interface name: ${"x".repeat(16)};`],
    [["-o", "foo"], "Invalid outbound address: foo;"],
    [["-4", "-6"], "--ipv4-only and --ipv6-only exclude each other"],
  ])("%j is refused", (args, text) => {
    expect(refusal("pasta", ...args, "4711")).toMatch(RegExp(`^${text.replaceAll(".", "\\.")}`));
  });
});

describe("addresses that lead to others on the host", () => {
  const four = address("192.0.2.1");
  const six = address("2001:db8::1");

  test.each([
    [[], { 4: "gateway", 6: "gateway" }],
    [["--no-map-gw"], { 4: null, 6: null }],
    [["--map-host-loopback", "none"], { 4: null, 6: null }],
    [["--map-host-loopback", "192.0.2.1"], { 4: four, 6: "gateway" }],
    [["--map-host-loopback", "2001:db8::1", "--no-map-gw"], { 4: null, 6: six }],
    [
      ["--map-host-loopback", "192.0.2.9", "--map-host-loopback", "192.0.2.1"],
      { 4: four, 6: "gateway" },
    ],
    [["--map-host-loopback", "192.0.2.9", "--map-host-loopback", "none"], { 4: null, 6: null }],
    [["--map-host-loopback", "none", "--map-host-loopback", "192.0.2.1"], { 4: four, 6: null }],
  ])("to loopback: %j", (args, expected) => {
    expect(pasta(...args, "4711").mapping.toLoopback).toEqual(expected);
  });

  test.each([
    [[], { 4: null, 6: null }],
    [["--map-guest-addr", "192.0.2.1", "--map-guest-addr", "2001:db8::1"], { 4: four, 6: six }],
    [["--map-guest-addr", "192.0.2.1", "--map-guest-addr", "none"], { 4: null, 6: null }],
  ])("to the shadowed address: %j", (args, expected) => {
    expect(pasta(...args, "4711").mapping.toShadowed).toEqual(expected);
  });

  test("no other text is an address", () => {
    expect(refusal("pasta", "--map-guest-addr", "gateway")).toContain(
      "Invalid address to map: gateway;",
    );
    expect(refusal("pasta", "--map-host-loopback", "127.0.0.1")).toContain(
      "Invalid address to map: 127",
    );
  });
});

describe("names", () => {
  const one = address("192.0.2.53");
  const two = address("2001:db8::53");

  test("pasta announces name servers and search domains when asked, passt unless asked not to", () => {
    const given = ["-D", "192.0.2.53", "-S", "example.org example.net"];
    const announced = { announced: [one], search: ["example.org", "example.net"] };
    const none = { announced: [], search: [] };
    expect(pasta(...given, "4711").dns).toMatchObject(none);
    expect(pasta(...given, "--dhcp-dns", "--dhcp-search", "4711").dns).toMatchObject(announced);
    expect(passt(...given).dns).toMatchObject(announced);
    expect(passt(...given, "--no-dhcp-dns", "--no-dhcp-search").dns).toMatchObject(none);
  });

  test.each([
    [[], null, null],
    [["-D", "192.0.2.53", "-D", "2001:db8::53"], [one, two], null],
    [["-D", "192.0.2.53", "-D", "none"], [], null],
    [["-D", "none", "-D", "192.0.2.53"], [one], null],
    [["-S", "example.org", "-S", "example.net"], null, ["example.org", "example.net"]],
    [["-S", "none"], null, []],
    [["-S", "none."], null, ["none."]],
  ])("%j", (args, announced, search) => {
    expect(passt(...args).dns).toMatchObject({ announced, search });
  });

  test("where DNS answers, and whom it asks", () => {
    const args = [
      "--dns-forward",
      "192.0.2.9",
      "--dns-forward",
      "2001:db8::53",
      "--dns-host",
      "::1",
    ];
    expect(pasta(...args, "--dns-forward", "192.0.2.53", "4711").dns).toMatchObject({
      forward: [one, two],
      host: [address("::1")],
    });
  });

  test.each([
    [["-D", "foo"], "Cannot use DNS address: foo;"],
    [["--dns-forward", "foo"], "Invalid DNS forwarding address: foo;"],
    [["--dns-host", "foo"], "Invalid host nameserver address: foo;"],
    [["-S", "exa_mple.org -x"], '--search "-x" is not a domain name'],
    [["-H", "a b"], '--hostname "a b" cannot be a hostname'],
    [["--fqdn", "-"], '--fqdn "-" is not a domain name'],
  ])("%j is refused", (args, text) => {
    expect(refusal("pasta", ...args, "4711").slice(0, text.length)).toBe(text);
  });
});

describe("what is relayed and answered", () => {
  test("everything by default", () => {
    expect(pasta("4711")).toMatchObject({
      protocols: { tcp: true, udp: true, icmp: true },
      services: { dhcp: true, dhcpv6: true, ndp: true, ra: true },
      hostLoopbackToGuestLoopback: false,
      splice: "beside the TAP",
      freebind: false,
    });
  });

  test("router advertisements are a part of NDP, and NDP of ICMP", () => {
    expect(pasta("--no-icmp", "4711").services).toMatchObject({ ndp: false, ra: false });
    expect(pasta("--no-ndp", "4711")).toMatchObject({
      protocols: { icmp: true },
      services: { ndp: false, ra: false },
    });
    expect(pasta("--no-ra", "4711").services).toMatchObject({ ndp: true, ra: false });
  });

  test("splices", () => {
    expect(pasta("--no-splice", "4711").splice).toBe("never");
    expect(passt().splice).toBe("never");
  });

  test("ports of a protocol that is not relayed are not forwarded", () => {
    const { inbound, outbound } = pasta("--no-tcp", "-t", "8080", "4711").ports;
    expect([inbound.tcp, outbound.tcp]).toEqual([[], []]);
    expect([inbound.udp.length, outbound.udp.length]).toEqual([1, 1]);
    const ports = passt("--no-udp", "-t", "22", "-u", "53").ports.inbound;
    expect([ports.tcp.length, ports.udp.length]).toEqual([1, 0]);
  });
});

describe("the process and its log", () => {
  test("files, sockets and users", () => {
    const args = ["-P", "/p", "-c", "/c", "-p", "/d.pcap", "-l", "/l", "--log-size=5000", "-f"];
    expect(pasta(...args, "--runas", "nobody:nogroup", "--no-netns-quit", "4711")).toMatchObject({
      pidFile: "/p",
      controlSocket: "/c",
      pcap: "/d.pcap",
      isForeground: true,
      runAs: "nobody:nogroup",
      staysWithoutNetns: true,
      log: { file: "/l", level: "info" },
    });
  });

  test.each([
    [["-q"], "warning"],
    [["-q", "-d"], "debug"],
    [["-d", "--trace"], "trace"],
  ])("%j", (args, level) => {
    expect(pasta(...args, "4711").log.level).toBe(level);
  });

  test("options without effect are taken", () => {
    pasta("-e", "--stats", "5", "4711");
    passt("--repair-path", "none", "--migrate-exit", "--migrate-no-linger");
  });

  test.each([
    [["-c", ""], "--conf-path is empty"],
    [["-c", "/".padEnd(108, "x")], "Invalid socket path"],
    [["--log-size", "1"], "--log-size 1 is too small"],
    [["-P", ""], "--pid is empty"],
  ])("%j is refused", (args, text) => {
    expect(refusal("pasta", ...args, "4711").slice(0, text.length)).toBe(text);
  });
});
