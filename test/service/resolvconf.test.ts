import { expect, it } from "vitest";
import { parseResolvers } from "../../src/service/resolvconf.js";

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
  expect(parseResolvers(text).map(String)).toEqual([
    "198.51.100.53",
    "2001:db8::53",
    "127.0.0.53",
    "203.0.113.53",
  ]);
});

it("finds none in an empty file", () => {
  expect(parseResolvers("")).toEqual([]);
});
