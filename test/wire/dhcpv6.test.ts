import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  composeAssociatedAddress,
  composeAssociation,
  composeDhcpv6,
  type Dhcpv6Message,
  Dhcpv6Option,
  Dhcpv6Type,
  parseAssociatedAddress,
  parseAssociation,
  parseDhcpv6,
} from "../../src/wire/dhcpv6.js";
import { anyAddress } from "../base/arbitraries.js";

/** What dhclient 4.4.3 sent. */
const REQUEST = Uint8Array.from(
  Buffer.from(
    "033b68820001000e000100013293fdd9c2ad50453b6b0002000a0003000152550a00020200060008001700180027001f" +
      "0008000200000003002850453b6b00000e100000151800050018fd00000000000000000000000000000f00001c20" +
      "00001d4c",
    "hex",
  ),
);

const u32 = fc.nat(0xffff_ffff);
const options = fc.array(
  fc.record({ code: fc.nat(0xffff), value: fc.uint8Array({ maxLength: 40 }) }),
  { maxLength: 5 },
);

function read(bytes: Uint8Array): Dhcpv6Message | null {
  return parseDhcpv6(bytes, 0, bytes.length);
}

describe("DHCPv6 messages", () => {
  it("are read and written as dhclient sends them", () => {
    const message = read(REQUEST);
    if (message === null) throw new Error("not read");
    expect(message).toMatchObject({ type: Dhcpv6Type.Request, transaction: 0x3b6882 });
    expect(message.options.map(({ code }) => code)).toEqual([1, 2, 6, 8, 3]);
    expect(Uint8Array.from(composeDhcpv6(message))).toEqual(REQUEST);
  });

  it("hold associations with their addresses", () => {
    const [option] = (read(REQUEST)?.options ?? []).slice(-1);
    expect(option?.code).toBe(Dhcpv6Option.IdentityAssociation);
    const association = parseAssociation(option?.value ?? new Uint8Array());
    expect(association).toMatchObject({
      id: 0x5045_3b6b,
      renewalTime: 3600,
      rebindingTime: 5400,
    });
    const inner = association?.options[0]?.value ?? new Uint8Array();
    const associated = parseAssociatedAddress(inner);
    expect(associated).toMatchObject({ preferredLifetime: 7200, validLifetime: 7500 });
    expect(String(associated?.address)).toBe("fd00::f");
  });

  it("are parsed as they were emitted", () => {
    const messages = fc.record({ type: fc.nat(255), transaction: fc.nat(0xff_ffff), options });
    fc.assert(
      fc.property(messages, (message) => {
        expect(read(Uint8Array.from(composeDhcpv6(message)))).toEqual(message);
      }),
    );
  });

  it("contain associations and addresses as they were emitted", () => {
    const associations = fc.record({ id: u32, renewalTime: u32, rebindingTime: u32, options });
    const addresses = fc.record({
      address: anyAddress(6),
      preferredLifetime: u32,
      validLifetime: u32,
    });
    fc.assert(
      fc.property(associations, addresses, (association, address) => {
        const value = Uint8Array.from(composeAssociation(association));
        expect(parseAssociation(value)).toEqual(association);
        expect(parseAssociatedAddress(composeAssociatedAddress(address))).toEqual(address);
      }),
    );
  });

  it("are refused if truncated", () => {
    const ends = new Set([4, 22, 36, 48, 54, REQUEST.length]);
    for (let length = 0; length <= REQUEST.length; length += 1) {
      expect(read(REQUEST.subarray(0, length)) !== null).toBe(ends.has(length));
    }
    expect(parseAssociation(new Uint8Array(11))).toBeNull();
    expect(parseAssociation(new Uint8Array(13))).toBeNull();
    expect(parseAssociatedAddress(new Uint8Array(23))).toBeNull();
  });
});
