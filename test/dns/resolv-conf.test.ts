import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Upstream } from "../../src/config/dns-config.js";
import { parseResolvConf, ResolvConf } from "../../src/dns/resolv-conf.js";

function servers(upstream: Upstream): string[] {
  return upstream.servers.map(String);
}

it("takes the servers in their order and skips everything else", () => {
  const text = [
    "# nameserver 192.0.2.1",
    "; nameserver 192.0.2.2",
    "search example.org",
    "nameserver 198.51.100.53",
    "nameserver\t2001:db8::53 # the second",
    "  nameserver 192.0.2.3",
    "nameserver fe80::1%eth0",
    "nameserver dns.example.org",
    "nameserver",
    "nameservers 192.0.2.4",
    "options edns0",
    "nameserver 127.0.0.53\r",
    "nameserver 203.0.113.53",
  ].join("\n");
  expect(servers(parseResolvConf(text))).toEqual([
    "198.51.100.53",
    "2001:db8::53",
    "127.0.0.53",
    "203.0.113.53",
  ]);
});

it("takes the last list of domains", () => {
  const text = "domain a.example\nsearch b.example c.example\nsearch\td.example  e.example\n";
  expect(parseResolvConf(text).search).toEqual(["d.example", "e.example"]);
});

it("finds nothing in an empty file", () => {
  expect(parseResolvConf("")).toEqual({ servers: [], search: [] });
});

it("has the file's servers while the keeper does not answer", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "resolvconf-"));
  const file = path.join(directory, "resolv.conf");
  writeFileSync(file, "nameserver 192.0.2.1\n");
  const followed = new ResolvConf(file, 0);
  let text: string | null = null;
  followed.followBy({ read: () => text });
  rmSync(directory, { recursive: true });
  expect(servers(followed)).toEqual(["192.0.2.1"]);
  text = "nameserver 192.0.2.2\n";
  expect(servers(followed)).toEqual(["192.0.2.2"]);
});

describe("a resolv.conf that is followed", () => {
  let directory: string;
  let file: string;
  let followed: ResolvConf;

  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "resolvconf-"));
    file = path.join(directory, "resolv.conf");
    writeFileSync(file, "nameserver 192.0.2.1\nsearch a.example\n");
    followed = new ResolvConf(file, 0);
    expect(servers(followed)).toEqual(["192.0.2.1"]);
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  it("is read again after it was written", () => {
    writeFileSync(file, "nameserver 192.0.2.2\nsearch b.example c.example\n");
    expect(servers(followed)).toEqual(["192.0.2.2"]);
    expect(followed.search).toEqual(["b.example", "c.example"]);
  });

  it("is read again after it was replaced", () => {
    const next = path.join(directory, "next");
    writeFileSync(next, "nameserver 192.0.2.3\n");
    renameSync(next, file);
    expect(servers(followed)).toEqual(["192.0.2.3"]);
  });

  it("is read again after its link was changed", () => {
    writeFileSync(path.join(directory, "vpn"), "nameserver 192.0.2.4\n");
    unlinkSync(file);
    expect(servers(followed)).toEqual(["192.0.2.1"]);
    symlinkSync("vpn", file);
    expect(servers(followed)).toEqual(["192.0.2.4"]);
  });

  it("is not checked more often than the interval", () => {
    const lazy = new ResolvConf(file, 3_600_000);
    expect(servers(lazy)).toEqual(["192.0.2.1"]);
    writeFileSync(file, "nameserver 192.0.2.5\n");
    expect(servers(lazy)).toEqual(["192.0.2.1"]);
  });
});
