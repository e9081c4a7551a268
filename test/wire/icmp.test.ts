import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import {
  emitEchoReply,
  emitIcmpError,
  IcmpError,
  icmpChecksumIsRight,
  isEchoRequest,
  isIcmpError,
  parseTooBig,
  quotedLength,
  writeIcmpChecksum,
} from "../../src/wire/icmp.js";
import { emitIp, type IpHeader, IpProtocol, ipHeaderLength } from "../../src/wire/ip.js";
import { linuxFrame } from "./captures.js";
import { parse, parseOk, patched } from "./parsing.js";

const UNFRAGMENTED = [3, 4, 5, 6, 7, 8, 9, 10, 11, 25, 27, 29];

/** RFC 792, RFC 4443 §4.2. */
const ECHO_REPLY = { 4: 0, 6: 129 } as const;

describe("ICMP", () => {
  it.each(UNFRAGMENTED)(
    "the checksum of frame %i is right, and wrong when a bit flips",
    (number) => {
      const bytes = linuxFrame(number);
      expect(icmpChecksumIsRight(bytes, parseOk(bytes))).toBe(true);
      const broken = patched(bytes, { [bytes.length - 1]: (bytes.at(-1) ?? 0) ^ 1 });
      expect(icmpChecksumIsRight(broken, parseOk(broken))).toBe(false);
    },
  );

  it("needs at least eight bytes", () => {
    const cut = patched(linuxFrame(8).subarray(0, 54 + 7), { 19: 7 });
    expect(parse(cut).result).toBe("icmp-truncated");
  });

  it.each([4, 6, 9, 11])("makes the echo reply of frame %i as the kernel did", (number) => {
    const frame = parseOk(linuxFrame(number));
    const { family, source, destination, transportOffset, transportLength } = frame;
    const bytes = new Uint8Array(transportLength);
    bytes.set(frame.bytes.subarray(frame.payloadOffset), 8);
    expect(emitEchoReply(bytes, 0, family, frame.identifier, frame.sequence)).toBe(8);
    writeIcmpChecksum(bytes, 0, transportLength, source, destination);
    expect(bytes).toEqual(frame.bytes.subarray(transportOffset));
  });

  it("distinguishes echoes, errors and others", () => {
    const kinds = UNFRAGMENTED.map((number) => {
      const { family, icmpType } = parseOk(linuxFrame(number));
      if (isEchoRequest(family, icmpType)) return "request";
      if (icmpType === ECHO_REPLY[family]) return "reply";
      return isIcmpError(family, icmpType) ? "error" : "other";
    });
    expect(kinds.join(" ")).toBe(
      "request reply request reply other request reply request reply error error error",
    );
  });

  it("quotes no more than fits 576 and 1280 bytes", () => {
    expect(quotedLength(4, 100, 20)).toBe(100);
    expect(quotedLength(4, 1500, 20)).toBe(576 - 28);
    expect(quotedLength(6, 1500, 40)).toBe(1280 - 48);
  });
});

describe.each([4, 6] as const)("Packet Too Big of IPv%i", (family) => {
  const [from, to] = (
    family === 4 ? ["203.0.113.7", "10.0.2.100"] : ["2001:db8::7", "fd00::64"]
  ).map((text) => Address.parse(text) as Address);
  const error = IcmpError.PacketTooBig[family];
  const headers = ipHeaderLength(family);

  /** The message behind an IP header, about a segment, of which so much is quoted. */
  function parsedOf(mtu: number, tcp: Uint8Array, protocol: number = IpProtocol.Tcp) {
    const bytes = new Uint8Array(headers + 8 + headers + tcp.length);
    emitIcmpError(bytes, headers, family, error, mtu);
    const quoted = { source: from, destination: to, protocol, hopLimit: 64, trafficClass: 0 };
    emitIp(bytes, headers + 8, quoted, tcp.length);
    bytes.set(tcp, headers + 8 + headers);
    const ip = { family, transportOffset: headers } as IpHeader;
    const payloadOffset = headers + 8;
    const payloadLength = bytes.length - payloadOffset;
    const rest = { identifier: 0, sequence: 0, payloadOffset, payloadLength };
    const message = { icmpType: error.type, icmpCode: error.code, ...rest };
    return parseTooBig(bytes, ip, message);
  }

  it("reports MTU and segment", () => {
    const tcp = fc.uint8Array({ minLength: 8, maxLength: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 68, max: 65_535 }), tcp, (mtu, bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        expect(parsedOf(mtu, bytes)).toEqual({
          mtu,
          source: from,
          destination: to,
          sourcePort: view.getUint16(0),
          destinationPort: view.getUint16(2),
          sequence: view.getUint32(4),
        });
      }),
    );
  });

  it("reports nothing for other protocols, or if too little is quoted", () => {
    expect(parsedOf(1300, new Uint8Array(8), IpProtocol.Udp)).toBeNull();
    expect(parsedOf(1300, new Uint8Array(7))).toBeNull();
  });
});
