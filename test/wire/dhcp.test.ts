import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import {
  composeDhcp,
  type DhcpMessage,
  DhcpOption,
  DhcpType,
  parseDhcp,
} from "../../src/wire/dhcp.js";
import { anyAddress, macs } from "../base/arbitraries.js";

const ANY = Address.ofIpv4Word(0);
const MESSAGE: DhcpMessage = {
  operation: 1,
  transaction: 0xbfee_3d1f,
  broadcast: false,
  clientAddress: ANY,
  yourAddress: ANY,
  relayAddress: ANY,
  clientMac: 0xc2ad_5045_3b6b,
  options: new Map(),
};

/** Fixed fields with the magic cookie, and the options. */
function withOptions(hex: string, patches: Readonly<Record<number, string>> = {}): Uint8Array {
  const fixed = composeDhcp(MESSAGE).subarray(0, 240);
  const bytes = Buffer.concat([fixed, Buffer.from(hex.replaceAll(" ", ""), "hex")]);
  for (const [at, patch] of Object.entries(patches)) bytes.write(patch, Number(at), "hex");
  return bytes;
}

function read(bytes: Uint8Array): DhcpMessage | null {
  return parseDhcp(bytes, 0, bytes.length);
}

describe("DHCP messages", () => {
  it("are read as busybox's udhcpc 1.35 sends them", () => {
    const captured =
      "01010600bfee3d1f0000000000000000000000000000000000000000c2ad50453b6b" +
      "00".repeat(202) +
      "638253633501013902024037090103060c0f1a1c2a773c0c756468637020312e33352e303d0701c2ad50453b6bff" +
      "00".repeat(18);
    const message = read(Buffer.from(captured, "hex"));
    expect(message).toMatchObject({ ...MESSAGE, options: expect.anything() });
    const options = [...(message?.options ?? [])].map(([code, value]) => [
      code,
      Buffer.from(value).toString("hex"),
    ]);
    expect(options).toEqual([
      [DhcpOption.MessageType, "01"],
      [DhcpOption.MaximumSize, "0240"],
      [DhcpOption.ParameterRequest, "0103060c0f1a1c2a77"],
      [60, Buffer.from("udhcp 1.35.0").toString("hex")],
      [DhcpOption.ClientId, "01c2ad50453b6b"],
    ]);
  });

  it("are parsed as they were emitted", () => {
    const options = fc
      .uniqueArray(
        fc.tuple(fc.integer({ min: 1, max: 254 }), fc.uint8Array({ maxLength: 300 })),
        // What the option Overload means for other parts of the message is tested apart.
        { selector: ([code]) => code, maxLength: 4 },
      )
      .map((entries) => new Map(entries.filter(([code]) => code !== DhcpOption.Overload)));
    const messages: fc.Arbitrary<DhcpMessage> = fc.record({
      operation: fc.constantFrom(1, 2),
      transaction: fc.nat(0xffff_ffff),
      broadcast: fc.boolean(),
      clientAddress: anyAddress(4),
      yourAddress: anyAddress(4),
      relayAddress: anyAddress(4),
      clientMac: macs,
      options,
    });
    fc.assert(
      fc.property(messages, (message) => {
        expect(read(composeDhcp(message))).toEqual(message);
      }),
    );
  });

  it("are at least as long as BOOTP's", () => {
    expect(composeDhcp(MESSAGE)).toHaveLength(300);
  });

  it("may have options in the file and name fields", () => {
    const bytes = withOptions("340103 350101 ff", { 108: "0c0161ff", 44: "0c0162ff" });
    const options = read(bytes)?.options;
    expect(options?.get(DhcpOption.MessageType)).toEqual(Uint8Array.of(DhcpType.Discover));
    // RFC 3396: parts of one option are joined, the file's before the name's.
    expect(options?.get(DhcpOption.Hostname)).toEqual(Uint8Array.from(Buffer.from("ab")));
    const unsaid = withOptions("350101 ff", { 108: "0c0161ff" });
    expect(read(unsaid)?.options.has(DhcpOption.Hostname)).toBe(false);
  });

  it.each([
    ["no magic cookie", withOptions("350101ff").with(239, 0)],
    ["an option without a length", withOptions("35")],
    ["an option beyond the end", withOptions("35020 1".replace(" ", ""))],
    ["an option beyond the end of the file field", withOptions("340101 ff", { 235: "0c" })],
    ["another hardware", withOptions("350101ff").with(1, 6)],
    ["a MAC of 8 bytes", withOptions("350101ff").with(2, 8)],
    ["more than anybody sends", withOptions("00".repeat(1261))],
    ["nothing behind the name", withOptions("").subarray(0, 239)],
  ])("are refused with %s", (_, bytes) => {
    expect(read(bytes)).toBeNull();
  });

  it("may be any bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 3 }),
        (tail, head) => {
          const bytes = Buffer.concat([head, withOptions(Buffer.from(tail).toString("hex"))]);
          parseDhcp(bytes, head.length, bytes.length - head.length);
        },
      ),
    );
  });
});
