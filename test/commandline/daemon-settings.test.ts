import { describe, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { parseCommandLine } from "../../src/commandline/command-line.js";
import {
  absoluteSettings,
  checkCluster,
  type DaemonSettings,
} from "../../src/commandline/daemon-settings.js";

/** The settings of a command line of `daemon run`. */
function settings(...args: string[]): DaemonSettings {
  const invocation = parseCommandLine("slipway", ["daemon", "run", ...args]);
  if (invocation.kind !== "run daemon") throw new Error(`parsed as ${invocation.kind}`);
  return invocation.config.settings;
}

function cluster(line: string) {
  return checkCluster(settings(...line.split(" ")));
}

const ADVERTISE = "--advertise 192.0.2.1";

test("without a store there is no cluster", () => {
  expect(checkCluster(settings())).toBeNull();
});

test("etcd with everything", () => {
  const line =
    "--store etcds://192.0.2.10:2379,[2001:db8::10]:1234,etcd.example --store-ca ca.pem --store-cert c.pem --store-key k.pem --store-user me --store-password env:WORD --store-prefix lab --advertise 2001:db8::1 --advertise 192.0.2.1 --listen 192.0.2.1 --vxlan-port 4790 --wireguard-port 51821";
  expect(cluster(line)).toEqual({
    store: {
      kind: "etcd",
      endpoints: [
        { host: "192.0.2.10", port: 2379 },
        { host: "2001:db8::10", port: 1234 },
        { host: "etcd.example", port: 2379 },
      ],
      tls: { ca: "ca.pem", identity: { cert: "c.pem", key: "k.pem" } },
      user: { name: "me", password: { kind: "env", name: "WORD" } },
      prefix: "/lab/",
    },
    advertise: [Address.parse("192.0.2.1"), Address.parse("2001:db8::1")],
    listen: [Address.parse("192.0.2.1")],
    vxlanPort: 4790,
    wireguardPort: 51_821,
  });
});

test("what is not given has defaults", () => {
  expect(cluster(`--store etcd://h ${ADVERTISE}`)).toMatchObject({
    store: { tls: null, user: null, prefix: "/slipway/v1/" },
    listen: [],
    vxlanPort: 4789,
    wireguardPort: 51_820,
  });
});

test.each([
  ["file:hosts.toml", "hosts.toml"],
  ["file:/etc/hosts.toml", "/etc/hosts.toml"],
  ["file:///etc/hosts.toml", "/etc/hosts.toml"],
])("%s is a file", (text, path) => {
  expect(cluster(`--store ${text} ${ADVERTISE}`)?.store).toEqual({ kind: "file", path });
});

test.each([
  ["word", { kind: "word", word: "word" }],
  ["@/run/password", { kind: "file", path: "/run/password" }],
  ["env:STORE_PASSWORD", { kind: "env", name: "STORE_PASSWORD" }],
])("the password %s", (text, password) => {
  const line = `--store etcd://h --store-user me --store-password ${text} ${ADVERTISE}`;
  expect(cluster(line)?.store).toMatchObject({ user: { password } });
});

test("an option that is given twice has its last value; addresses add up", () => {
  const line = "--store etcd://a --store etcd://b --advertise 192.0.2.1 --advertise 2001:db8::1";
  expect(settings(...line.split(" "))).toEqual({
    store: ["etcd://b"],
    advertise: ["192.0.2.1", "2001:db8::1"],
  });
});

test("paths hold in every directory", () => {
  const given: DaemonSettings = {
    store: ["file:hosts.toml"],
    "store-ca": ["../ca.pem"],
    "store-key": ["/k.pem"],
    "store-password": ["@word"],
    "store-user": ["me"],
  };
  expect(absoluteSettings(given, "/etc/slipway")).toEqual({
    store: ["file:/etc/slipway/hosts.toml"],
    "store-ca": ["/etc/ca.pem"],
    "store-key": ["/k.pem"],
    "store-password": ["@/etc/slipway/word"],
    "store-user": ["me"],
  });
  const others: DaemonSettings = { store: ["etcd://h"], "store-password": ["word"] };
  expect(absoluteSettings(others, "/etc")).toEqual(others);
});

describe("one wrong option is a usage error", () => {
  test.each([
    ["--store 192.0.2.10:2379", "is not a store: write etcd://192.0.2.10:2379, etcds://"],
    ["--store etcd:192.0.2.10", "is not a store: write etcd://"],
    ["--store http://192.0.2.10:2379", "write etcd:// for etcd's port of clients"],
    ["--store https://192.0.2.10:2379", "write etcds:// for etcd with TLS"],
    ["--store consul://h", "hosts share networks by etcd: there is no other store but a file"],
    ["--store etcd://", '"" is not a server: write HOST:PORT'],
    ["--store etcd://a,,b", '"" is not a server: write HOST:PORT'],
    ["--store etcd://2001:db8::1", "write an IPv6 address in brackets, [2001:db8::1]"],
    ["--store etcd://[192.0.2.1]:1", "is not a server"],
    ["--store etcd://1.2.3:1", "is not a server"],
    ["--store etcd://h:0", "--store port 0 is too small: give a number from 1 to 65535"],
    ["--store etcd://h:65536", "--store port 65536 is too large"],
    ["--store etcd://me:word@h", "user and password are given by --store-user and"],
    ["--store etcd://h/slipway", "leave out the path; --store-prefix gives a prefix of keys"],
    ["--store file:", "write it like file:PATH"],
    ["--store file://h/x", "write it like file:PATH"],
    ["--store-ca=", "--store-ca is empty: give it a value"],
    ["--store-password=", "--store-password is empty: give the password, @FILE or env:NAME"],
    ["--store-password @", "names no file behind @"],
    ["--store-password env:1", "names no variable behind env:"],
    ["--store-prefix a//b", "write letters, digits and _ . - between slashes"],
    ["--advertise box", '--advertise "box" is not an address'],
    ["--advertise 0.0.0.0", "is not an address of one host: give one that other hosts reach"],
    ["--advertise 224.0.0.1", "is not an address of one host"],
    ["--advertise fe80::1", "is not an address of one host"],
    ["--advertise 192.0.2.1:4789", 'leave out ":4789"'],
    ["--vxlan-port 0", "--vxlan-port 0 is too small"],
    ["--wireguard-port x", '--wireguard-port is "x", not a number'],
  ])("%s", (line, sentence) => {
    expect(() => settings(...line.split(" "))).toThrow(
      expect.objectContaining({ message: expect.stringContaining(sentence), exitStatus: 2 }),
    );
  });
});

test("a message about a store never shows a password", () => {
  for (const scheme of ["etcd:", "http:", "nonsense:", ""]) {
    expect(() => settings("--store", `${scheme}//me:secret@h`)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("secret") }),
    );
  }
});

describe("options that do not fit together", () => {
  test.each([
    ["--store etcd://h", "--store needs --advertise: give the address of this host"],
    [ADVERTISE, "--advertise needs a store: give --store, too"],
    ["--vxlan-port 1", "--vxlan-port needs a store"],
    ["--store etcd://h --store-ca x", "--store-ca is for TLS: write --store etcds://…"],
    ["--store file:x --store-user x", "--store-user is for etcd, and the store is a file"],
    ["--store etcds://h --store-cert x", "--store-cert and --store-key belong together"],
    ["--store etcd://h --store-user x", "--store-user and --store-password belong together"],
    [
      `--store etcd://h ${ADVERTISE} --advertise 192.0.2.2`,
      "--advertise is given twice for IPv4: give it once for each family",
    ],
    [`--store etcd://h ${ADVERTISE} --listen ::1 --listen ::2`, "--listen is given twice for IPv6"],
    [
      `--store etcd://h ${ADVERTISE} --vxlan-port 51820`,
      "--vxlan-port and --wireguard-port are both 51820: give two different ports",
    ],
  ])("%s", (line, sentence) => {
    expect(() => cluster(line)).toThrow(sentence);
  });

  test("daemon start finds them before a daemon is started", () => {
    const line = `--store etcd://h ${ADVERTISE} --store-cert x`;
    expect(() => parseCommandLine("slipway", ["daemon", "start", ...line.split(" ")])).toThrow(
      "--store-cert is for TLS",
    );
  });
});
