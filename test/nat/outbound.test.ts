import { describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { resolverSource } from "../../src/nat/outbound.js";

describe("the source address of queries to the host's name servers", () => {
  const outbound = { 4: Address.parse("198.51.100.2"), 6: null };

  it.each([
    ["192.0.2.1", outbound[4]],
    ["127.0.0.53", null],
    ["2001:db8::1", null],
  ])("towards %s is %s", (text, expected) => {
    const server = Address.parse(text);
    if (server === null) throw new Error(`${text} does not parse`);
    expect(resolverSource(outbound, server)).toBe(expected);
  });
});
