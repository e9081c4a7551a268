import { decode, encode, type Packet } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import {
  answersQuery,
  composeDnsAnswer,
  composeDnsFailure,
  type DnsQuery,
  DnsRcode,
  dnsRcode,
  fitDnsAnswer,
  frameDnsMessage,
  parseDnsQuery,
  refuseDnsMessage,
  takeDnsMessage,
} from "../../src/wire/dns.js";

/** What `dig +nocookie files.example.org AAAA` sent. */
const DIG = Buffer.from(
  "6e46012000010000000000010566696c6573076578616d706c65036f726700001c000100002904d0000000000000",
  "hex",
);

/** The same without EDNS, as the C library sends it, and with another case. */
const PLAIN = Buffer.from(
  "6e46010000010000000000000546696c4573076578616d706c65036f726700001c0001",
  "hex",
);

const addresses = ["192.0.2.1", "2001:db8::1", "2001:db8::2"].flatMap(
  (text) => Address.parse(text) ?? [],
);

function query(message: Uint8Array): DnsQuery {
  const parsed = parseDnsQuery(message);
  if (parsed === null) throw new Error("not a query");
  return parsed;
}

/** A query made into something else, and by which code it is refused; null: by silence. */
function hostile(from: Buffer): (readonly [string, string | null, Buffer])[] {
  const changed = (change: (message: Buffer) => void): Buffer => {
    const message = Buffer.from(from);
    change(message);
    return message;
  };
  const opcode = (number: number) => changed((message) => (message[2] |= number << 3));
  return [
    ["an inverse query", "NOTIMP", opcode(1)],
    ["a status query", "NOTIMP", opcode(2)],
    ["a notification", "NOTIMP", opcode(4)],
    ["an update", "NOTIMP", opcode(5)],
    ["a stateful operation", "NOTIMP", opcode(6)],
    ["of the last opcode", "NOTIMP", opcode(15)],
    ["an update of no zone", "NOTIMP", Buffer.concat([opcode(5).subarray(0, 4), Buffer.alloc(8)])],
    ["an answer", null, changed((message) => (message[2] |= 0x80))],
    ["an answer to an update", null, changed((message) => (message[2] |= 0xa8))],
    ["without a question", "FORMERR", changed((message) => message.writeUInt16BE(0, 4))],
    ["of two questions", "FORMERR", changed((message) => message.writeUInt16BE(2, 4))],
    ["of 65,535 questions", "FORMERR", changed((message) => message.writeUInt16BE(0xffff, 4))],
    ["with a byte behind it", "FORMERR", Buffer.concat([from, Buffer.alloc(1)])],
    ["with a message behind it", "FORMERR", Buffer.concat([from, from])],
    [
      "with records that are not there",
      "FORMERR",
      changed((message) => message.writeUInt16BE(9, 6)),
    ],
    ["cut in its question", "FORMERR", from.subarray(0, 20)],
    ["a header", "FORMERR", from.subarray(0, 12)],
    ["less than a header", null, from.subarray(0, 11)],
  ];
}

function answer(changes: Packet = {}): Uint8Array {
  const questions = [{ type: "AAAA", name: "files.example.org" } as const];
  return encode({ type: "response", id: 7, flags: 0, questions, ...changes });
}

describe("a query", () => {
  it("is read with its name, type and size", () => {
    expect(query(DIG)).toMatchObject({
      id: 0x6e46,
      name: "files.example.org",
      type: "AAAA",
      questionEnd: 35,
      udpSize: 1232,
      hasEdns: true,
    });
    expect(query(PLAIN)).toMatchObject({
      name: "files.example.org",
      questionEnd: 35,
      udpSize: 512,
      hasEdns: false,
    });
  });

  it("with a size below the minimum counts as one with the minimum", () => {
    const small = Buffer.from(DIG);
    small.writeUInt16BE(100, 38);
    expect(query(small).udpSize).toBe(512);
  });

  it("is a copy", () => {
    const message = Buffer.from(DIG);
    const { message: copy } = query(message);
    message.fill(0);
    expect(copy).toEqual(DIG);
  });

  it("is neither a response nor garbage", () => {
    const twoQuestions = Buffer.from(DIG);
    twoQuestions[5] = 2;
    const response = Buffer.from(DIG);
    response[2] |= 0x80;
    const ownTail = Buffer.concat([DIG.subarray(0, 12), Buffer.from("c00c00010001", "hex")]);
    for (const message of [twoQuestions, response, ownTail, DIG.subarray(0, 20), Buffer.alloc(0)]) {
      expect(parseDnsQuery(message)).toBeNull();
    }
  });

  it("may have further records after the question", () => {
    const soa = Buffer.from("c00c0006000100000000000101", "hex");
    const transfer = Buffer.concat([PLAIN, soa]);
    transfer.writeUInt16BE(1, 8);
    expect(query(transfer)).toMatchObject({ questionEnd: 35, hasEdns: false });
  });

  it("is parsed only up to the question if records follow", () => {
    const record = Buffer.from("c00c00010001000000000004c6336435", "hex");
    const long = Buffer.concat([DIG, ...Array<Buffer>(4000).fill(record)]);
    long.writeUInt16BE(4001, 10);
    expect(query(long)).toMatchObject({ questionEnd: 35, hasEdns: false });
  });

  it("may be any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, withHeader) => {
        parseDnsQuery(withHeader ? Buffer.concat([DIG.subarray(0, 12), bytes]) : bytes);
      }),
    );
  });
});

describe("other messages", () => {
  it.each([
    ...hostile(PLAIN).map((row) => [...row, "without EDNS"] as const),
    ...hostile(DIG).map((row) => [...row, "with EDNS"] as const),
  ])("%s, is refused by a header alone: %s", (_, rcode, message) => {
    expect(parseDnsQuery(message)).toBeNull();
    const { answer, reason } = refuseDnsMessage(message);
    if (rcode === null) {
      expect([answer, reason]).toEqual([null, DropReason.DnsMalformed]);
      return;
    }
    expect(answer).toHaveLength(12);
    const packet = decode(Buffer.from(answer ?? []));
    expect(packet).toMatchObject({ id: 0x6e46, type: "response", rcode, flag_rd: true });
    expect(answer?.[2] ?? 0).toBe(0x80 | (message[2] & 0x79));
    const isOpcode = rcode === "NOTIMP";
    expect(reason).toBe(isOpcode ? DropReason.DnsOpcode : DropReason.DnsMalformed);
  });

  it("may be any bytes: they are answered by at most a header, and responses never", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const { answer } = refuseDnsMessage(bytes);
        expect(answer !== null).toBe(bytes.length >= 12 && bytes[2] < 0x80);
        expect(answer?.length ?? 12).toBe(12);
      }),
    );
  });
});

describe("a response belongs to the query", () => {
  it("with its id and question", () => {
    expect(answersQuery(answer(), query(DIG), 7)).toBe(true);
  });

  it("if a failed server repeats no question", () => {
    expect(answersQuery(answer({ questions: [], flags: 1 }), query(DIG), 7)).toBe(true);
    expect(answersQuery(answer({ questions: [] }), query(DIG), 7)).toBe(false);
  });

  it.each([
    ["another id", answer({ id: 8 })],
    ["another name", answer({ questions: [{ type: "AAAA", name: "filez.example.org" }] })],
    ["another type", answer({ questions: [{ type: "A", name: "files.example.org" }] })],
    ["another case", answer({ questions: [{ type: "AAAA", name: "FILES.example.org" }] })],
    ["another opcode", answer({ flags: 0x2800 })],
    ["the form of a query", answer({ type: "query" })],
    ["no more than a header", answer().subarray(0, 12)],
    ["less than a header", answer().subarray(0, 11)],
  ])("and not with %s", (_, message) => {
    expect(answersQuery(message, query(DIG), 7)).toBe(false);
  });
});

describe("our own answers", () => {
  it("have the addresses of the requested type", () => {
    const packet = decode(Buffer.from(composeDnsAnswer(query(DIG), addresses)));
    expect(packet).toMatchObject({
      id: 0x6e46,
      type: "response",
      rcode: "NOERROR",
      flag_aa: true,
      flag_rd: true,
      flag_ra: true,
      questions: [{ name: "files.example.org", type: "AAAA" }],
    });
    expect(packet.answers?.map((record) => ("data" in record ? record.data : null))).toEqual([
      "2001:db8::1",
      "2001:db8::2",
    ]);
    expect(packet.additionals).toMatchObject([{ type: "OPT", udpPayloadSize: 1232 }]);
  });

  it("keep the question's case, and have no EDNS for clients without it", () => {
    const packet = decode(Buffer.from(composeDnsAnswer(query(PLAIN), addresses)));
    expect(packet.questions?.[0]?.name).toBe("FilEs.example.org");
    expect(packet.additionals).toEqual([]);
  });

  it("report a failure with the original question", () => {
    const failure = composeDnsFailure(query(DIG), DnsRcode.ServerFailure);
    expect(dnsRcode(failure)).toBe(DnsRcode.ServerFailure);
    expect(decode(Buffer.from(failure))).toMatchObject({
      id: 0x6e46,
      rcode: "SERVFAIL",
      flag_rd: true,
      flag_ra: true,
      questions: [{ name: "files.example.org", type: "AAAA" }],
      answers: [],
      additionals: [{ type: "OPT" }],
    });
    expect(composeDnsFailure(query(PLAIN), 2)).toHaveLength(PLAIN.length);
    expect(composeDnsFailure(query(PLAIN), 2).subarray(12)).toEqual(PLAIN.subarray(12));
  });

  it("report a longer one by TC, with its response code", () => {
    const long = Buffer.concat([answer({ flags: 0x0483 }), Buffer.alloc(1500)]);
    const packet = decode(Buffer.from(fitDnsAnswer(query(DIG), long, 4, 1500)));
    expect(packet).toMatchObject({
      id: 0x6e46,
      type: "response",
      rcode: "NXDOMAIN",
      flag_aa: true,
      flag_tc: true,
      answers: [],
    });
  });
});

describe("answers by UDP", () => {
  // DIG takes 1232 bytes; IPv4 and UDP have 28 of headers, IPv6 and UDP 48.
  it.each([
    [4, 1500, 1232, true],
    [4, 1500, 1233, false],
    [6, 1280, 1232, true],
    [6, 1279, 1232, false],
    [4, 576, 548, true],
    [4, 576, 549, false],
  ] as const)("IPv%i, MTU %i: %i bytes fit: %s", (family, mtu, length, fits) => {
    const whole = Buffer.alloc(length);
    const given = fitDnsAnswer(query(DIG), whole, family, mtu);
    expect(given === whole).toBe(fits);
    expect(given.length).toBeLessThanOrEqual(length);
  });
});

describe("messages in a stream", () => {
  it("are split correctly, however the stream is cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 });
    fc.assert(
      fc.property(messages, fc.integer({ min: 1, max: 40 }), (sent, step) => {
        const stream = Buffer.concat(sent.map(frameDnsMessage));
        const taken: Uint8Array[] = [];
        let waiting = Buffer.alloc(0);
        for (let at = 0; at < stream.length; at += step) {
          waiting = Buffer.concat([waiting, stream.subarray(at, at + step)]);
          for (let it = takeDnsMessage(waiting); it !== null; it = takeDnsMessage(waiting)) {
            taken.push(Uint8Array.from(it));
            waiting = waiting.subarray(2 + it.length);
          }
        }
        expect(taken).toEqual(sent.map((message) => Uint8Array.from(message)));
        expect(waiting).toHaveLength(0);
      }),
    );
  });
});
