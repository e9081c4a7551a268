import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import {
  emitListenerQuery,
  type Listener,
  type ListenerQuery,
  parseListeners,
} from "../../src/wire/inet-diag.js";
import { DumpEnd } from "../../src/wire/netlink.js";
import { emitListener, parseListenerQuery } from "./listeners.js";

/**
 * What Linux 6.18 answered in a namespace with servers at 127.0.0.1:81, 0.0.0.0:8080, [::]:443 of
 * both families and [::1]:444 of IPv6 alone; datagram sockets at 127.0.0.53:53 and [::]:5353.
 */
const captured = {
  tcp4:
    "7c00000014000200000000005f560000020a0000005100007f00000100000000000000000000000000000000000000000000000000000000000000000100000000000000000000000000000080000000000000005c210400050008000000000008000f00000000000c00150001000000000000000600160052000000" +
    "7c00000014000200000000005f560000020a00001f9000000000000000000000000000000000000000000000000000000000000000000000000000000200000000000000000000000000000080000000000000005b210400050008000000000008000f00000000000c00150001000000000000000600160052000000",
  tcp6: "8400000014000200000000005f5600000a0a000001bb00000000000000000000000000000000000000000000000000000000000000000000000000000300000000000000000000000000000080000000000000005d210400050008000000000005000b000000000008000f00000000000c001500010000000000000006001600120000008400000014000200000000005f5600000a0a000001bc00000000000000000000000000000000000100000000000000000000000000000000000000000400000000000000000000000000000080000000000000005e210400050008000000000005000b000100000008000f00000000000c00150001000000000000000600160012000000",
  udp4: "7c00000014000200000000005f56000002070000003500007f00003500000000000000000000000000000000000000000000000000000000000000000500000000000000000000000000000000000000000000005f210400050008000000000008000f00000000000c00150001000000000000000600160050000000",
  udp6: "8400000014000200000000005f5600000a07000014e9000000000000000000000000000000000000000000000000000000000000000000000000000006000000000000000000000000000000000000000000000060210400050008000000000005000b000000000008000f00000000000c00150001000000000000000600160010000000",
  done: "1400000003000200000000005f56000000000000",
};

const port = fc.integer({ min: 1, max: 65_535 });
const word = fc.integer({ min: 0, max: 0xffff_ffff });
const address = fc.oneof(
  word.map((w) => Address.ofIpv4Word(w)),
  fc.tuple(word, word, word, word).map((words) => Address.ofWords(...words)),
);
const listener = fc
  .record({ protocol: fc.constantFrom("tcp", "udp"), address, port, isIpv6Only: fc.boolean() })
  .map((each) => ({ ...each, isIpv6Only: each.isIpv6Only && each.address.family === 6 }));

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

function parsed(query: ListenerQuery, ...messages: readonly Uint8Array[]) {
  const found: Listener[] = [];
  const end = parseListeners(Uint8Array.from(Buffer.concat(messages)), query, found);
  const words = found.map(
    (each) => `${each.protocol} ${each.address} ${each.port}${each.isIpv6Only ? " only" : ""}`,
  );
  return { end, words, found };
}

describe("what the kernel answered", () => {
  test.each([
    ["tcp", 4, captured.tcp4, ["tcp 127.0.0.1 81", "tcp 0.0.0.0 8080"]],
    ["tcp", 6, captured.tcp6, ["tcp :: 443", "tcp ::1 444 only"]],
    ["udp", 4, captured.udp4, ["udp 127.0.0.53 53"]],
    ["udp", 6, captured.udp6, ["udp :: 5353"]],
  ] as const)("%s of IPv%i", (protocol, family, hex, words) => {
    const query = { protocol, family };
    expect(parsed(query, bytesOf(hex))).toMatchObject({ end: DumpEnd.More, words });
    const whole = parsed(query, bytesOf(hex), bytesOf(captured.done));
    expect(whole).toMatchObject({ end: DumpEnd.Done, words });
  });

  test("an error", () => {
    // struct nlmsgerr: -ENOENT, as where the module of the protocol is missing; and the request.
    const message = bytesOf(`5c000000020000000000000000000000feffffff${"00".repeat(72)}`);
    expect(parsed({ protocol: "tcp", family: 4 }, message).end).toBe(-2);
  });
});

test("a query as the kernel takes it", () => {
  const query = emitListenerQuery({ protocol: "udp", family: 6 });
  expect(Buffer.from(query).toString("hex")).toBe(
    `480000001400010300000000000000000a11000080000000${"00".repeat(48)}`,
  );
});

test("parse and emit are inverses", () => {
  for (const protocol of ["tcp", "udp"] as const) {
    for (const family of [4, 6] as const) {
      expect(parseListenerQuery(emitListenerQuery({ protocol, family }))).toEqual({
        protocol,
        family,
      });
    }
  }
  fc.assert(
    fc.property(listener, (each) => {
      const query = { protocol: each.protocol, family: each.address.family };
      const { end, found } = parsed(query, emitListener(each));
      expect(end).toBe(DumpEnd.More);
      expect(found).toEqual([each]);
    }),
  );
});

test("an answer in parts gives the same as in one", () => {
  const query = { protocol: "tcp", family: 4 } as const;
  fc.assert(
    fc.property(fc.array(listener), (all) => {
      const messages = all.map((each) => emitListener({ ...each, protocol: "tcp" }));
      const parts = messages.flatMap((message) => parsed(query, message).words);
      expect(parsed(query, ...messages).words).toEqual(parts);
    }),
  );
});

test("garbage and truncated answers give null, and end", () => {
  const query = { protocol: "tcp", family: 4 } as const;
  const good = bytesOf(captured.tcp4 + captured.done);
  for (let length = 1; length < good.length; length += 1) {
    const { end, words } = parsed(query, good.subarray(0, length));
    if (length % 124 !== 0) expect(end).toBe(null);
    expect(words.length).toBe(Math.min(2, Math.floor(length / 124)));
  }
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      parsed(query, bytes);
      parseListenerQuery(bytes);
    }),
  );
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
      const bytes = good.slice();
      bytes[at] = byte;
      parsed(query, bytes);
    }),
  );
});
