import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BROADCAST_MAC,
  formatMac,
  isMulticastMac,
  parseInterfaceMac,
  parseMac,
  readMac,
  writeMac,
} from "../../src/base/mac.js";

const anyMac = fc.nat(BROADCAST_MAC);

describe("Mac", () => {
  it("is unchanged after conversion to text or bytes and back", () => {
    fc.assert(
      fc.property(anyMac, (mac) => {
        const bytes = new Uint8Array(8);
        writeMac(bytes, 1, mac);
        expect(readMac(bytes, 1)).toBe(mac);
        expect([bytes[0], bytes[7]]).toEqual([0, 0]);
        expect(parseMac(formatMac(mac))).toBe(mac);
        expect(isMulticastMac(mac)).toBe(bytes[1] % 2 === 1);
      }),
    );
  });

  it("is an interface's unless it is a group's or zero", () => {
    const texts = ["02:00:00:00:00:01", "00:00:00:00:00:00", "01:00:5e:00:00:01", "nonsense"];
    expect(texts.map(parseInterfaceMac)).toEqual([0x0200_0000_0001, null, null, null]);
  });

  it("has its bytes in the order of the text", () => {
    const bytes = new Uint8Array(6);
    writeMac(bytes, 0, parseMac("02:0a:0B:0c:0d:fe") ?? 0);
    expect([...bytes]).toEqual([0x02, 0x0a, 0x0b, 0x0c, 0x0d, 0xfe]);
    expect(formatMac(readMac(bytes, 0))).toBe("02:0a:0b:0c:0d:fe");
  });

  it.each([
    "",
    "02:0a:0b:0c:0d",
    "02:0a:0b:0c:0d:0e:0f",
    "2:a:b:c:d:e",
    "02-0a-0b-0c-0d-0e",
    "0g:00:00:00:00:00",
  ])("refuses %j", (text) => {
    expect(parseMac(text)).toBeNull();
  });
});
