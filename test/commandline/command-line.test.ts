import { describe, expect, test } from "vitest";
import { UserError } from "../../src/base/errors.js";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import type { AttachConfig, NetworkOptions, RunConfig } from "../../src/commandline/invocation.js";

function parseRun(...args: string[]): RunConfig {
  const invocation = parseCommandLine("slipway", ["run", ...args]);
  if (invocation.kind !== "run") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.config;
}

function parseAttach(name: string, ...args: string[]): AttachConfig {
  const invocation = parseCommandLine(name, args);
  if (invocation.kind !== "attach") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.config;
}

function parseText(name: string, ...args: string[]): string {
  const invocation = parseCommandLine(name, args);
  if (invocation.kind !== "print") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.text;
}

function refusal(name: string, ...args: string[]): UserError {
  try {
    parseCommandLine(name, args);
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("accepted");
}

describe("slipway run", () => {
  test("has defaults for all but the command", () => {
    const { network, tap, keepId, command } = parseRun("--", "curl");
    expect(command).toEqual(["curl"]);
    expect(tap).toBe("tap0");
    expect(keepId).toBe(false);
    expect(network.mtu).toBe(1500);
    expect(network.hostLoopback).toBe(false);
    expect(String(network.ipv4.prefix)).toBe("10.0.2.0/24");
  });

  test("takes its options and leaves the command its own", () => {
    const line = "--mtu 9000 --cidr=198.51.100.0/25 --host-loopback --tap eth0 --keep-id";
    const config = parseRun(...line.split(" "), "--", "curl", "--mtu", "-h", "--", "x");
    expect(config.command).toEqual(["curl", "--mtu", "-h", "--", "x"]);
    expect(config.network.mtu).toBe(9000);
    expect(config.network.hostLoopback).toBe(true);
    expect(String(config.network.ipv4.guest)).toBe("198.51.100.100");
    expect(config.tap).toBe("eth0");
    expect(config.keepId).toBe(true);
  });

  test("takes the first argument as the command if -- is missing", () => {
    expect(parseRun("--mtu=1280", "curl", "-O", "x").command).toEqual(["curl", "-O", "x"]);
  });

  test.each([["68"], ["65521"]])("takes an MTU of %s", (mtu) => {
    expect(parseRun("--mtu", mtu, "--", "true").network.mtu).toBe(Number(mtu));
  });
});

describe("IPv6", () => {
  const when = (network: NetworkOptions) => [network.ipv6.when, `${network.ipv6.plan.prefix}`];

  test.each([
    ["", "if the host has it", "fd00::/64"],
    ["--no-ipv6", "never", "fd00::/64"],
    ["--ipv6-cidr 2001:db8:1::/64", "always", "2001:db8:1::/64"],
  ])("of slipway with %j is enabled %s", (line, expected, prefix) => {
    const args = line.split(" ").filter((arg) => arg !== "");
    expect(when(parseRun(...args, "--", "true").network)).toEqual([expected, prefix]);
    expect(when(parseAttach("slipway", "attach", ...args, "42").network)).toEqual([
      expected,
      prefix,
    ]);
  });

  test.each([
    ["", "never", "fd00::/64"],
    ["-6", "always", "fd00::/64"],
    ["--enable-ipv6", "always", "fd00::/64"],
    ["--ipv6-cidr=fd01::/48", "always", "fd01::/48"],
  ])("of slirp4netns with %j is enabled %s", (line, expected, prefix) => {
    const args = line.split(" ").filter((arg) => arg !== "");
    const { network } = parseAttach("slirp4netns", ...args, "42", "tap0");
    expect(when(network)).toEqual([expected, prefix]);
  });
});

test("names and outbound addresses accumulate", () => {
  const line = "--dns 192.0.2.1 --dns 2001:db8::1 --dns-search a.example --dns-search b.example";
  const more = "--dns-option ndots:2 --dns-option rotate --add-host Db.example=192.0.2.7";
  const last = "--outbound-addr eth0 --outbound-addr6 2001:db8::2";
  const args = [line, more, last].join(" ").split(" ");
  const { network, resolverOptions } = parseRun(...args, "--", "true");
  expect(network.dns?.servers.map(String)).toEqual(["192.0.2.1", "2001:db8::1"]);
  expect(network.dns?.search).toEqual(["a.example", "b.example"]);
  expect(network.dns?.records.map(({ name, address }) => `${name} ${address}`)).toEqual([
    "db.example 192.0.2.7",
  ]);
  expect(resolverOptions).toEqual(["ndots:2", "rotate"]);
  expect(network.outbound).toEqual({
    4: { option: "--outbound-addr", source: "eth0" },
    6: { option: "--outbound-addr6", source: "2001:db8::2" },
  });
  expect(parseRun("--disable-dns", "--", "true").network.dns).toBeNull();
});

test.each([
  ["Db.example.=192.0.2.7", ["db.example 192.0.2.7"]],
  ["db:192.0.2.7", ["db 192.0.2.7"]],
  ["a;b:192.0.2.7", ["a 192.0.2.7", "b 192.0.2.7"]],
  ["my_db=::1", ["my_db ::1"]],
  ["db:::1", ["db ::1"]],
  ["db:[::1]", ["db ::1"]],
  ["db=[2001:db8::7]", ["db 2001:db8::7"]],
  ["db=::ffff:192.0.2.7", ["db 192.0.2.7"]],
  ["host.docker.internal:host-gateway", ["host.docker.internal host-gateway"]],
  ["a;b=host-gateway", ["a host-gateway", "b host-gateway"]],
])("--add-host %s", (text, expected) => {
  const { network } = parseRun("--add-host", text, "--", "true");
  expect(network.dns?.records.map(({ name, address }) => `${name} ${address}`)).toEqual(expected);
});

test("the last time-out of each kind counts, and the others keep their defaults", () => {
  const given = ["--timeout=udp=300", "--timeout", "udp-dns=5", "--timeout=udp=60"];
  const timeouts = { udp: 60_000, udpUnanswered: 30_000, udpDns: 5_000, ping: 60_000 };
  expect(parseRun(...given, "--", "true").network.timeouts).toEqual(timeouts);
  expect(parseAttach("slirp4netns", ...given, "42", "tap0").network.timeouts).toEqual(timeouts);
});

test.each([
  [[], 64 * 1024 * 1024],
  [["--memory=16M"], 16 * 1024 * 1024],
  [["--memory=8192k"], 8 * 1024 * 1024],
  [["--memory=5000000"], 5_000_000],
])("the memory of %j is %i bytes", (args, bytes) => {
  expect(parseRun(...args, "--", "true").network.memoryBudget).toBe(bytes);
  expect(parseAttach("slipway", "attach", ...args, "42").network.memoryBudget).toBe(bytes);
  expect(parseAttach("slirp4netns", ...args, "42", "tap0").network.memoryBudget).toBe(bytes);
});

test("statistics are printed on request", () => {
  expect(parseRun("--stats", "--", "true").stats).toBe(true);
  expect(parseAttach("slirp4netns", "42", "tap0").stats).toBe(false);
});

describe("slipway attach", () => {
  test("distinguishes a PID from a path", () => {
    expect(parseAttach("slipway", "attach", "42").target).toEqual({
      kind: "namespace",
      netns: "/proc/42/ns/net",
      userns: null,
      pid: 42,
    });
    expect(parseAttach("slipway", "attach", "./42", "eth0")).toMatchObject({
      target: { netns: "./42", userns: null, pid: null },
      tap: "eth0",
      configure: true,
    });
  });

  test("takes descriptors", () => {
    const config = parseAttach("slipway", "attach", "--ready-fd", "3", "--exit-fd=4", "42");
    expect(config).toMatchObject({ readyFd: 3, exitFd: 4 });
    expect(parseAttach("slipway", "attach", "42")).toMatchObject({ readyFd: null, exitFd: null });
  });
});

describe("slirp4netns", () => {
  test("takes the command line of RootlessKit", () => {
    const config = parseAttach("slirp4netns", "--mtu", "65520", "-r", "3", "42", "tap0");
    expect(config).toMatchObject({
      target: { pid: 42 },
      configure: false,
      readyFd: 3,
      exitFd: null,
      network: { mtu: 65520, hostLoopback: true },
    });
  });

  test("takes the command line of podman, as far as its help offers it", () => {
    const line =
      "--disable-host-loopback --mtu=65520 --enable-sandbox --enable-seccomp -c -e 3 -r 4 --netns-type=path /run/ns tap0";
    expect(parseAttach("slirp4netns", ...line.split(" "))).toMatchObject({
      target: { netns: "/run/ns", userns: null, pid: null },
      configure: true,
      readyFd: 4,
      exitFd: 3,
      network: { mtu: 65520, hostLoopback: false },
    });
  });

  test("accepts an open TAP, and a path for User Mode Linux, without a name", () => {
    const given = parseAttach("slirp4netns", "--netns-type=tapfd", "7");
    expect(given.target).toEqual({ kind: "tapfd", fd: 7, pid: null });
    const bess = parseAttach("slirp4netns", "--target-type=bess", "/run/uml.sock");
    expect(bess.target).toEqual({ kind: "bess", path: "/run/uml.sock", pid: null });
  });

  test("enters the named user namespace", () => {
    const line = "--userns-path=/proc/7/ns/user --netns-type=path /run/ns tap0";
    expect(parseAttach("slirp4netns", ...line.split(" ")).target).toEqual({
      kind: "namespace",
      netns: "/run/ns",
      userns: "/proc/7/ns/user",
      pid: null,
    });
  });

  test("joins short options and ignores superfluous arguments", () => {
    const config = parseAttach("slirp4netns", "-cr3", "42", "tap0", "", "more");
    expect(config).toMatchObject({ configure: true, readyFd: 3, tap: "tap0" });
  });

  test("lists exactly its options in the help, which clients search", () => {
    const offered = parseText("slirp4netns", "--help").match(/--[a-z0-9-]+/g) ?? [];
    expect([...new Set(offered)].sort()).toEqual([
      "--api-socket",
      "--cidr",
      "--configure",
      "--disable-dns",
      "--disable-host-loopback",
      "--enable-ipv6",
      "--enable-sandbox",
      "--enable-seccomp",
      "--exit-fd",
      "--exit-with-netns",
      "--help",
      "--ipv6-cidr",
      "--log-file",
      "--log-format",
      "--log-level",
      "--macaddress",
      "--max-api-clients",
      "--max-dns-queries",
      "--max-flows",
      "--max-flows-per-destination",
      "--max-half-open",
      "--max-listeners",
      "--max-log-lines",
      "--max-mappings",
      "--max-new-flows",
      "--max-new-mappings",
      "--max-reassemblies",
      "--memory",
      "--mtu",
      "--netns-type",
      "--no-sandbox",
      "--outbound-addr",
      "--outbound-addr6",
      "--pcap",
      "--ready-fd",
      "--shared",
      "--stats",
      "--target-type",
      "--timeout",
      "--udp-filtering",
      "--userns-path",
      "--version",
    ]);
  });

  test("prints its version in the first line, where clients read it", () => {
    expect(parseText("slirp4netns", "-v")).toMatch(/^slirp4netns version \d+\.\d+\.\d+\n/);
  });
});

describe("help and version", () => {
  test.each([[["--help"]], [["-h"]], [["help"]]])("slipway %j names the commands", (args) => {
    const text = parseText("slipway", ...args);
    for (const command of ["run", "attach", "doctor"]) expect(text).toContain(`  ${command} `);
  });

  test.each([["run"], ["attach"], ["doctor"]])("slipway %s --help prints its usage", (command) => {
    expect(parseText("slipway", command, "--help")).toMatch(`Usage: slipway ${command} `);
  });

  test("slipway --version", () => {
    expect(parseText("slipway", "--version")).toMatch(/^slipway \d+\.\d+\.\d+\n$/);
  });

  test("slipway doctor", () => {
    expect(parseCommandLine("slipway", ["doctor"])).toEqual({ kind: "doctor" });
  });
});

describe("what is refused, in one line with the fix", () => {
  test.each([
    ["slipway", "walk", /unknown command "walk"; see slipway --help/],
    ["slipway", "run", /missing required argument 'command'; see slipway run --help/],
    ["slipway", "run --mut 1 true", /unknown option "--mut" \(Did you mean --mtu\?\)/],
    ["slipway", "run --mtu 67 true", /--mtu 67 is too small: give a number from 68 to 65521/],
    ["slipway", "run --mtu 65522 true", /--mtu 65522 is too large: give a number from 68/],
    ["slipway", "run --mtu 1e3 true", /--mtu is "1e3", not a number: give a number from 68/],
    ["slipway", "run --mtu -5 true", /--mtu is "-5", not a number/],
    ["slipway", "run --cidr 10.0.2.0 true", /--cidr "10.0.2.0": invalid CIDR; write one like/],
    [
      "slipway",
      "run --cidr 10.0.2.0/26 true",
      /--cidr "10.0.2.0\/26": the prefix length needs to be 1-25/,
    ],
    [
      "slipway",
      "run --cidr 10.0.2.9/24 true",
      /--cidr "10.0.2.9\/24": .* address like 10.0.2.0\/24, not like 10.0.2.9\/24/,
    ],
    [
      "slipway",
      "run --cidr fd00::/64 true",
      /--cidr "fd00::\/64": invalid CIDR; write an IPv4 network like 10.0.2.0\/24/,
    ],
    ["slipway", "run --tap lo true", /TAP name lo is taken .*: choose another/],
    [
      "slipway",
      "run --tap sixteen-letters0 true",
      /too long: an interface name has at most 15 bytes/,
    ],
    ["slipway", "run --tap tap%d true", /"tap%d" is not an interface name: use letters/],
    ["slipway", "run --tap .. true", /"\.\." is not an interface name/],
    ["slipway", "attach", /missing required argument 'target'/],
    ["slipway", "attach 0", /PID 0 is too small: give a number from 1 to 4194304/],
    ["slipway", "attach 4194305", /PID 4194305 is too large/],
    ["slipway", "attach 42 tap0 more", /too many arguments/],
    ["slipway", "attach 42 --ready-fd x", /--ready-fd is "x", not a number: give a number from 0/],
    ["slipway", "attach 42 --exit-fd 2147483648", /--exit-fd 2147483648 is too large/],
    ["slirp4netns", "42", /missing required argument 'tapname'; see slirp4netns --help/],
    ["slirp4netns", "self tap0", /PID is "self", not a number/],
    [
      "slirp4netns",
      "--netns-type=fd 3 tap0",
      /--netns-type is "fd": it must be pid, path or tapfd/,
    ],
    ["slirp4netns", "--netns-type=tapfd tap0", /FD is "tap0", not a number/],
    ["slirp4netns", "--target-type=uml x", /--target-type is "uml": it must be netns or bess/],
    ["slirp4netns", "--netns-type=path /run/ns", /missing required argument 'tapname'/],
    ["slirp4netns", "--macaddress=02:00:5e:10:00:01 42 tap0", /needs --configure: add that/],
    [
      "slirp4netns",
      "-c --macaddress=03:00:5e:10:00:01 42 tap0",
      /is not the Ethernet address of an interface/,
    ],
    [
      "slirp4netns",
      "-c --macaddress=2:0:5e:10:0:1 42 tap0",
      /is not the Ethernet address of an interface/,
    ],
    [
      "slirp4netns",
      "-c --macaddress=00:00:00:00:00:00 42 tap0",
      /is not the Ethernet address of an interface/,
    ],
    ["slirp4netns", "--host-loopback 42 tap0", /unknown option "--host-loopback"/],
    [
      "slipway",
      "run --ipv6-cidr 10.0.2.0/24 true",
      /--ipv6-cidr .*: invalid CIDR; write an IPv6 network like fd00::\/64/,
    ],
    ["slipway", "run --dns ns.example true", /--dns "ns.example" is not an address/],
    ["slipway", "run --dns 192.0.2.1:53 true", /is not an address: leave out ":53"/],
    ["slipway", "run --dns fe80::1%eth0 true", /is not an address: leave out "%eth0"/],
    ["slipway", "run --dns [::1] true", /is not an address: leave out the brackets/],
    [
      "slipway",
      "run --dns x:y true",
      /is not an address: write one like 192.0.2.53 or 2001:db8::53/,
    ],
    [
      "slipway",
      "run --host-address 127.0.0.2 true",
      /127\.0\.0\.2 is no address that others reach/,
    ],
    [
      "slipway",
      "run --host-address 192.0.2.7 --host-address 192.0.2.8 true",
      /--host-address is given twice for IPv4/,
    ],
    [
      "slipway",
      "run --host-address 192.0.2.7 --outbound-addr eth0 true",
      /--host-address is what is sent from: leave --outbound-addr/,
    ],
    [
      "slipway",
      "run --host-address 192.0.2.7 -P true",
      /--host-address publishes each port at that address alone: leave --publish-auto out/,
    ],
    [
      "slipway",
      "run --network none --host-address 192.0.2.7 true",
      /--host-address has no effect with --network none/,
    ],
    [
      "slipway",
      "run --outbound-addr6 192.0.2.1 true",
      /is an IPv4 address: give an IPv6 one, such as 2001:db8::53/,
    ],
    [
      "slipway",
      "run --outbound-addr fd00::1 true",
      /is an IPv6 address: give an IPv4 one, such as 192.0.2.53/,
    ],
    [
      "slipway",
      "run --outbound-addr a/b true",
      /neither an address nor an interface name: write it like 192.0.2.53 or eth0/,
    ],
    [
      "slipway",
      "run --no-ipv6 --ipv6-cidr fd00::/64 true",
      /--ipv6-cidr has no effect with --no-ipv6/,
    ],
    [
      "slipway",
      "run --disable-dns --dns 192.0.2.1 true",
      /have no effect with --disable-dns: leave/,
    ],
    ["slipway", "run -p true", /"true" is not a port/],
    ["slipway", "run --ipv6-cidr x true", /invalid CIDR; write one like fd00::\/64/],
    ["slipway", "run --dns-search a..b true", /"a..b" is not a domain name/],
    ["slipway", "run --add-host db true", /--add-host "db": write it like db.example=192.0.2.1/],
    ["slipway", "run --memory 1G true", /--memory is "1G", not a size: give 4M to 240M/],
    ["slipway", "run --memory 3M true", /--memory 3M is too small: give 4M to 240M/],
    ["slipway", "attach --memory 241M 42", /--memory 241M is too large: give 4M to 240M/],
    [
      "slipway",
      "run --timeout udp true",
      /--timeout "udp": write it like udp=60, 1 to 86400 seconds/,
    ],
    ["slipway", "run --timeout tcp=9 true", /for udp, udp-unanswered, udp-dns, ping/],
    ["slipway", "attach --timeout ping=0 42", /--timeout "ping=0": write it like/],
    ...["db=x", "db:", ":::1", "a;;b:::1", "db:[192.0.2.1]", "db:[::1", "a..b=::1"].map(
      (text): [string, string, RegExp] => [
        "slipway",
        `run --add-host ${text} true`,
        /--add-host .*: write it like .*, or db.example=host-gateway for this host; see slipway run --help$/,
      ],
    ),
  ])("%s %s", (name, line, sentence) => {
    const args = line.split(" ").filter((arg) => arg !== "");
    const error = refusal(name, ...args);
    expect(error.message).toMatch(sentence);
    expect(error.message).not.toContain("\n");
    expect(error.exitStatus).toBe(name === "slirp4netns" ? 1 : 2);
  });
});

describe("slipway run --network refuses options without effect", () => {
  const elsewhere = "leave it out";
  const host =
    "with --network host, where COMMAND has the network, ports and names of this machine";
  const give = (option: string) => `leave it out, or give ${option} to slipway network create`;
  test.for([
    ["web", ["--memory", "32M"], `--memory has no effect on a network: ${elsewhere}`],
    // As much as the default: it was asked for, and would not hold.
    ["web", ["--mtu", "1500"], `--mtu has no effect on a network: ${give("--mtu")}`],
    ["web", ["--max-flows", "5"], `--max-flows has no effect on a network: ${elsewhere}`],
    ["web", ["--no-ipv6"], `--no-ipv6 has no effect on a network: ${elsewhere}`],
    ["web", ["--no-api-socket"], `--no-api-socket has no effect on a network: ${elsewhere}`],
    ["web", ["--api-socket", "x"], `--api-socket has no effect on a network: ${elsewhere}`],
    ["web", ["--tap", "tap7"], `--tap has no effect on a network: ${elsewhere}`],
    ["web", ["--cidr", "10.1.0.0/24"], `--cidr has no effect on a network: ${give("--subnet")}`],
    ["host", ["--publish", "8080:80"], `--publish has no effect ${host}: ${elsewhere}`],
    ["host", ["--name", "x"], `--name has no effect ${host}: ${elsewhere}`],
    [
      "none",
      ["--add-host", "a=192.0.2.1"],
      `--add-host has no effect with --network none, where there is only lo: ${elsewhere}`,
    ],
    [
      "container:x",
      ["--hostname", "h"],
      `--hostname has no effect with --network container, where COMMAND has all that the target has: ${elsewhere}`,
    ],
    [
      "slirp",
      ["--name", "7"],
      "--name 7: a number names a process: choose a name with a letter in it",
    ],
    [
      "slirp",
      ["--name", "db", "--no-api-socket"],
      "--name is the name of the API socket: leave --api-socket and --no-api-socket out",
    ],
  ] as const)("%s %j", ([mode, options, sentence]) => {
    const error = refusal("slipway", "run", "--network", mode, ...options, "--", "true");
    expect([error.exitStatus, error.message]).toEqual([2, `${sentence}; see slipway run --help`]);
  });

  test("and accepts the rest", () => {
    const { mode, hostname } = parseRun(
      ...["--network", "web", "--name", "db", "--hostname", "box", "--dns", "192.0.2.1", "-P"],
      ...["--keep-id", "--host-loopback", "--log-level", "info", "--", "true", "--memory", "1"],
    );
    expect([mode.kind, hostname]).toEqual(["networks", "box"]);
    expect(parseRun("--network", "none", "--hostname", "box", "--", "true").hostname).toBe("box");
  });

  test("and without a network the name is the hostname", () => {
    const isolated = ["--network", "none", "--name", "box"] as const;
    expect(parseRun(...isolated, "--", "true").hostname).toBe("box");
    expect(parseRun(...isolated, "-h", "other", "--", "true").hostname).toBe("other");
    const long = refusal(
      "slipway",
      "run",
      "--net=none",
      "--name",
      "b".repeat(63).concat(".box"),
      "true",
    );
    expect(long.message).toMatch(/^--name .* cannot be a hostname: .* 64 at most/);
  });
});

describe("docker's spellings", () => {
  test.each([
    [
      ["--net", "web"],
      ["--network", "web"],
    ],
    [
      ["--network", "web", "--network-alias", "a"],
      ["--network", "web", "--alias", "a"],
    ],
    [
      ["--network", "web", "--net-alias=a"],
      ["--network", "web", "--alias", "a"],
    ],
    [
      ["--network", "web", "--ip6", "fd00::9"],
      ["--network", "web", "--ip", "fd00::9"],
    ],
    [
      ["-h", "box"],
      ["--hostname", "box"],
    ],
    [["--publish-all"], ["-P"]],
    [
      ["--dns-opt", "ndots:2"],
      ["--dns-option", "ndots:2"],
    ],
    [["-it", "--rm", "--init"], []],
    [
      ["--interactive", "--tty", "--net=host"],
      ["--network", "host"],
    ],
  ])("run %j means %j", (spelling, usual) => {
    expect(parseRun(...spelling, "--", "true")).toEqual(parseRun(...usual, "--", "true"));
  });

  test("variables accumulate", () => {
    const { environment } = parseRun("-e", "A=1", "--env-file", "f", "--env=B", "-eC=", "true");
    const variables = ["A=1", "B", "C="];
    expect(environment).toEqual({ files: ["f"], variables, directory: null });
    expect(parseRun("-w", "/srv", "true").environment.directory).toBe("/srv");
    expect(refusal("slipway", "run", "-e", "=1", "true").message).toBe(
      '--env "=1": write it like NAME=value; see slipway run --help',
    );
  });

  test("port NAME is short for port ls --name NAME, also in --help", () => {
    const short = parseCommandLine("slipway", ["port", "--json", "db"]);
    expect(parseCommandLine("slipway", ["port", "db", "--json"])).toEqual(short);
    expect(short).toEqual(parseCommandLine("slipway", ["port", "ls", "--name", "db", "--json"]));
    const help = parseText("slipway", "port", "--help");
    expect(help).toMatch(/^Usage: slipway port COMMAND\n {7}slipway port NAME \[PORT\[\/udp\]\]$/m);
    expect(help).toMatch(/^ {2}NAME \[PORT\[\/udp\]\] +list the/m);
  });

  test("--help says what is unlike docker's", () => {
    const text = (...args: string[]) => parseText("slipway", ...args).replaceAll(/\s+/g, " ");
    expect(text("network", "prune", "--help")).toMatch(/without asking.*--force no effect/);
    expect(text("run", "--help")).toMatch(/--memory <size> most memory of Slipway itself, for/);
  });

  test("run has help by --help only, other commands by -h, too", () => {
    expect(parseText("slipway", "run", "--help")).toMatch(/-h, --hostname <name>/);
    expect(parseText("slipway", "run", "--help")).toMatch(/^ {2}--help /m);
    expect(parseText("slipway", "attach", "-h")).toMatch(/-h, --help/);
    expect(refusal("slipway", "run", "-h").message).toMatch(/^--hostname needs a value/);
  });

  test.each([
    [
      ["run", "-v", "/a:/b", "true"],
      /^-v has no meaning for slipway run: COMMAND sees the files of/,
    ],
    [["run", "-dit", "true"], /^-d has no meaning for slipway run: .* write & behind it/],
    [["run", "--user=1000", "true"], /^--user has no meaning for slipway run: .*--keep-id/],
    [["run", "--entrypoint", "sh", "true"], /^--entrypoint has no meaning .*there is no image/],
    [
      ["run", "--memory", "512M", "true"],
      /^--memory 512M is too large: .* for Slipway's packets and connections/,
    ],
    [["run", "-m", "512m", "true"], /^-m 512m: -m is the MTU here, and limits of .*systemd-run/],
    [["run", "-a", "stdout", "true"], /^-a stdout: -a is the API socket here; .*: leave it out;/],
    ...["sysctl", "gpus", "annotation", "replace", "no-hosts", "cidfile"].map(
      (name): [string[], RegExp] => [
        ["run", `--${name}=x`, "true"],
        new RegExp(`^--${name} has no meaning for slipway run: .+`),
      ],
    ),
    [
      ["network", "connect", "--link", "a", "web", "b"],
      /^--link has no meaning for slipway network connect/,
    ],
    [["run", "--nett", "web", "true"], /^unknown option "--nett".*; see slipway run --help/],
  ])("%j is refused", (args, message) => {
    const error = refusal("slipway", ...args);
    expect([error.exitStatus, error.message]).toEqual([2, expect.stringMatching(message)]);
  });

  test("disconnect takes --force, and connect --ip6", () => {
    const disconnected = parseCommandLine("slipway", ["network", "disconnect", "-f", "web", "db"]);
    expect(disconnected).toMatchObject({ request: { action: "disconnect", member: "db" } });
    const connected = parseCommandLine("slipway", ["network", "connect", "--ip6=::9", "web", "1"]);
    expect(connected).toMatchObject({ request: { attachment: { addresses: ["::9"] } } });
  });
});
