import fc from "fast-check";
import { expect, test } from "vitest";
import { LOOPBACK } from "../../src/base/address.js";
import { parseResolvConf } from "../../src/dns/resolv-conf.js";
import { servicesFor } from "../../src/services/index.js";
import { parseAssociatedAddress, parseAssociation } from "../../src/wire/dhcpv6.js";
import { answersQuery, parseDnsQuery } from "../../src/wire/dns.js";
import { createAddressCaches, Frame, parseFrame } from "../../src/wire/frame.js";
import { parseListeners } from "../../src/wire/inet-diag.js";
import { DumpEnd } from "../../src/wire/netlink.js";
import { parseRouteDump, type RouteTables } from "../../src/wire/rtnetlink-dump.js";
import { address } from "../base/addresses.js";
import { COPIED_OPEN } from "../nat/plans.js";
import { config, datagram, PLAN4, PLAN6 } from "../services/frames.js";
import { LINUX } from "../wire/captures.js";
import { emitListener } from "../wire/listeners.js";
import { mutated, repaired, type Watch, watched } from "./mutation.js";
import { forAWhile, TIMEOUT } from "./time.js";

/** RFC 1035 §4.1: a question for the address of a.example, with EDNS. */
const QUERY = Uint8Array.from([
  ...[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1],
  ...[1, 97, 7, 101, 120, 97, 109, 112, 108, 101, 0, 0, 1, 0, 1],
  ...[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0],
]);

/** RFC 2131: a DISCOVER with a client identifier and a parameter request list. */
const DISCOVER = Uint8Array.from([
  ...[1, 1, 6, 0, 1, 2, 3, 4, ...Array(20).fill(0), 2, 0, 0, 0, 0, 100, ...Array(202).fill(0)],
  ...[0x63, 0x82, 0x53, 0x63, 53, 1, 1, 61, 7, 1, 2, 0, 0, 0, 0, 100, 55, 3, 1, 3, 6, 255],
]);

/** RFC 8415: a SOLICIT with client identifier, an association and an option request. */
const SOLICIT = Uint8Array.from([
  ...[1, 1, 2, 3, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 100, 0, 3, 0, 12, 0, 0, 0, 1],
  ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 4, 0, 23, 0, 24, 0, 8, 0, 2, 0, 0],
]);

/** A socket that listens at [::1]:443, as the kernel answers. */
const LISTENER = emitListener({
  protocol: "tcp",
  address: LOOPBACK[6],
  port: 443,
  isIpv6Only: true,
});

/** An interface, an address of each family and two routes, as a Linux 6.18 told of them (rtnetlink(7)). */
const ROUTE_MESSAGES = [
  "3000000010000200000000000000000000000403010000004900010000000000070003006c6f00000800040000000100",
  "5000000014000200000000000c490000021880000300000008000100c000020508000200c0000205090003006574683000000000080008008000000014000600ffffffffffffffff2e094c002e094c00",
  "4800000014000200000000000c4900000a408200030000001400010020010db800000000000000000000000514000600ffffffffffffffff2e094c002e094c000800080082000000",
  "4800000018000200000000000d49000002000000fe0300010000000008000f00fe00000024000900100000000300000008000500c0000201100000000300000008000500c0000202",
  "4c00000018000200000000000d49000002180000fe0300010000000008000f00fe00000008000100cb007100160012000a00fe80000000000000000000000000000900000800040003000000",
  "7400000018000200000000000d4900000a000000fe0300010000000008000f00fe000000080006000004000014000500fe800000000000000000000000000001080004000300000024000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000",
].map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));

function joined(messages: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(messages.flatMap((message) => [...message]));
}

const bytesOf = (frame: Frame) => Uint8Array.from(frame.bytes);
const seeds = [
  ...LINUX,
  bytesOf(datagram(PLAN4.dns, 53, QUERY)),
  bytesOf(datagram(PLAN6.dns, 53, QUERY)),
  bytesOf(datagram(address("255.255.255.255"), 67, DISCOVER)),
  bytesOf(datagram(address("ff02::1:2"), 547, SOLICIT)),
];

/** A frame between other bytes, which must not be read. */
const AROUND = 37;

test("no frame makes parsers or services throw, read outside it, or read it many times", {
  timeout: TIMEOUT,
}, () => {
  const own = servicesFor(config());
  const copied = servicesFor(config({ plans: COPIED_OPEN }));
  const caches = createAddressCaches();
  let now = 0;
  const property = fc.property(
    mutated(seeds),
    fc.boolean(),
    fc.boolean(),
    (changed, repairs, isCopy) => {
      const { responders } = isCopy ? copied : own;
      const bytes = repairs ? repaired(changed) : changed;
      const memory = new Uint8Array(bytes.length + 2 * AROUND).fill(0xa5);
      memory.set(bytes, AROUND);
      const watch: Watch = { reads: 0 };
      const frame = new Frame(watched(memory, AROUND, AROUND + bytes.length, watch));
      now += 100;
      if (parseFrame(frame, AROUND, bytes.length, caches) === 0 && !frame.isFragment) {
        responders.find((service) => service.claims(frame))?.handle(frame, now);
      }
      // A name of 255 bytes may be pointed to from each of few places; everything else is read once or twice.
      expect(watch.reads).toBeLessThan(2_000 + 20 * bytes.length);
    },
  );
  fc.assert(property, forAWhile);
});

test("no message makes the other parsers throw or read outside it", { timeout: TIMEOUT }, () => {
  const property = fc.property(mutated([QUERY, DISCOVER, SOLICIT, LISTENER]), (bytes) => {
    const query = parseDnsQuery(bytes);
    if (query !== null) answersQuery(bytes, query, 0x1234);
    parseAssociation(bytes);
    parseAssociatedAddress(bytes);
    parseListeners(bytes, { protocol: "tcp", family: 6 }, []);
  });
  fc.assert(property, forAWhile);
});

test("no answer about links, addresses and routes makes its parser throw", {
  timeout: TIMEOUT,
}, () => {
  const seeds = [...ROUTE_MESSAGES, joined(ROUTE_MESSAGES)];
  const whole: RouteTables = { links: [], addresses: [], routes: [] };
  expect(parseRouteDump(joined(ROUTE_MESSAGES), whole, 9, () => {})).toBe(DumpEnd.More);
  expect([whole.links.length, whole.addresses.length, whole.routes.length]).toEqual([1, 2, 3]);
  const property = fc.property(mutated(seeds), (bytes) => {
    const tables: RouteTables = { links: [], addresses: [], routes: [] };
    parseRouteDump(bytes, tables, 2, () => {});
    const { links, addresses, routes } = tables;
    expect(Math.max(links.length, addresses.length, routes.length)).toBeLessThanOrEqual(2);
    for (const { address, length } of addresses) expect(length).toBeLessThanOrEqual(address.bits);
    for (const { destination } of routes) {
      expect(destination.length).toBeLessThanOrEqual(destination.address.bits);
    }
  });
  fc.assert(property, forAWhile);
});

test("any resolv.conf can be read", { timeout: TIMEOUT }, () => {
  const words = fc.constantFrom(
    "nameserver",
    "search",
    "domain",
    "options",
    "#",
    ";",
    "::1%lo",
    ".",
  );
  const word = fc.oneof(words, fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 12 }));
  const line = fc.array(word, { maxLength: 6 }).map((all) => all.join(" "));
  const text = fc.array(line, { maxLength: 20 }).map((all) => all.join("\n"));
  const property = fc.property(text, (given) => {
    const { servers, search } = parseResolvConf(given);
    expect(servers.every(({ family }) => family === 4 || family === 6)).toBe(true);
    expect(search.every((name) => name.length > 0)).toBe(true);
  });
  fc.assert(property, forAWhile);
});
