import { decode } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DropReason } from "../../src/base/drop.js";
import { addToSum, isIntact, pseudoHeaderSum } from "../../src/wire/checksum.js";
import type { Frame } from "../../src/wire/frame.js";
import { address } from "../base/addresses.js";
import {
  config,
  datagram,
  decide,
  dnsConfig,
  GATEWAY_MAC,
  GUEST_MAC,
  PLAN4,
  PLAN6,
  replied,
} from "./frames.js";

/** What `dig +nocookie files.example.org AAAA` sent. */
const QUERY = Buffer.from(
  "6e46012000010000000000010566696c6573076578616d706c65036f726700001c000100002904d0000000000000",
  "hex",
);

const RESOLVERS = [address("198.51.100.53"), address("2001:db8::53")];
const servers = [PLAN4.dns, PLAN6.dns];

function payload({ bytes, payloadOffset, payloadLength }: Frame): Buffer {
  return Buffer.from(bytes.subarray(payloadOffset, payloadOffset + payloadLength));
}

describe("DNS", () => {
  it.each(servers)("resolves queries to %s with the host's servers", (server) => {
    const frame = datagram(server, 53, QUERY);
    const verdict = decide(frame, config({ dns: dnsConfig({ servers: RESOLVERS }) }));
    expect(verdict).toMatchObject({
      kind: "resolve",
      query: { message: QUERY, name: "files.example.org" },
      client: { mac: GUEST_MAC, address: frame.source, port: 40_000 },
      server: { mac: GATEWAY_MAC, address: server, port: 53 },
    });
  });

  it.each(servers)("answers its own names from %s, whatever their case", (server) => {
    const records = new Map([["files.example.org", [PLAN4.gateway, PLAN6.gateway]]]);
    const dns = { ...dnsConfig({ servers: RESOLVERS }), records };
    const upper = Buffer.from(QUERY);
    upper.write("FILES", 13);
    const reply = replied(decide(datagram(server, 53, upper), config({ dns })));
    expect(reply.source).toEqual(server);
    const { answers } = decode(payload(reply));
    expect(answers).toMatchObject([{ type: "AAAA", data: "fd00::2" }]);
  });

  it.each(servers)("truncates at %s an answer that exceeds the client's size", (server) => {
    const many = Array.from({ length: 60 }, (_, index) => address(`2001:db8::${index + 1}`));
    const records = new Map([["files.example.org", many]]);
    const dns = { ...dnsConfig(), records };
    const reply = replied(decide(datagram(server, 53, QUERY), config({ dns })));
    expect(decode(payload(reply))).toMatchObject({ flag_tc: true, answers: [], rcode: "NOERROR" });
  });

  it.each(servers)("refuses queries to %s if the host has no resolver", (server) => {
    const query = datagram(server, 53, QUERY);
    const reply = replied(decide(query, config()));
    expect(reply).toMatchObject({
      source: server,
      destination: query.source,
      sourcePort: 53,
      destinationPort: 40_000,
      destinationMac: query.sourceMac,
      sourceMac: query.destinationMac,
    });
    expect(decode(payload(reply))).toMatchObject({
      id: 0x6e46,
      type: "response",
      rcode: "SERVFAIL",
      flag_rd: true,
      flag_ra: true,
      questions: [{ name: "files.example.org", type: "AAAA" }],
      answers: [],
    });
  });

  it.each(servers)("refuses from %s with a right checksum", (server) => {
    const reply = replied(decide(datagram(server, 53, QUERY), config()));
    const { source, destination, transportOffset, transportLength } = reply;
    const pseudo = pseudoHeaderSum(source, destination, 17, transportLength);
    expect(isIntact(addToSum(pseudo, reply.bytes, transportOffset, transportLength))).toBe(true);
  });

  it.each(servers)("does not answer at %s responses, or less than a header", (server) => {
    const answer = Buffer.from(QUERY);
    answer[2] |= 0x80;
    for (const message of [answer, QUERY.subarray(0, 11), Buffer.alloc(0)]) {
      const verdict = decide(datagram(server, 53, message), config());
      expect(verdict).toEqual({ kind: "drop", reason: DropReason.DnsMalformed });
    }
  });

  it.each(servers)("refuses at %s messages other than queries, and forwards none", (server) => {
    const records = new Map([["files.example.org", [PLAN4.gateway]]]);
    const guest = config({ dns: { ...dnsConfig({ servers: RESOLVERS }), records } });
    const update = Buffer.from(QUERY);
    update[2] |= 5 << 3;
    const twoQuestions = Buffer.from(QUERY);
    twoQuestions[5] = 2;
    const ownTail = Buffer.concat([QUERY.subarray(0, 12), Buffer.from("c00c00010001", "hex")]);
    for (const [message, rcode, reason] of [
      [update, "NOTIMP", DropReason.DnsOpcode],
      [twoQuestions, "FORMERR", DropReason.DnsMalformed],
      [ownTail, "FORMERR", DropReason.DnsMalformed],
      [QUERY.subarray(0, 20), "FORMERR", DropReason.DnsMalformed],
    ] as const) {
      const query = datagram(server, 53, message);
      const verdict = decide(query, guest);
      if (verdict?.kind !== "refuse") throw new Error(`not refused: ${verdict?.kind}`);
      expect(verdict.reason).toBe(reason);
      const refusal = replied({ kind: "reply", frame: verdict.frame });
      expect(refusal).toMatchObject({ source: server, destination: query.source });
      expect(decode(payload(refusal))).toMatchObject({ id: 0x6e46, rcode, questions: [] });
    }
  });

  it("survives any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, withHeader) => {
        const message = withHeader ? Buffer.concat([QUERY.subarray(0, 12), bytes]) : bytes;
        const verdict = decide(datagram(PLAN4.dns, 53, message), config());
        expect(["reply", "drop", "refuse"]).toContain(verdict?.kind);
      }),
    );
  });

  it("claims only queries to its address", () => {
    const guest = config({ dns: dnsConfig({ servers: RESOLVERS }) });
    expect(decide(datagram(PLAN4.dns, 54, QUERY), guest)).toBeNull();
    expect(decide(datagram(PLAN4.gateway, 53, QUERY), guest)).toBeNull();
    expect(decide(datagram(address("198.51.100.53"), 53, QUERY), guest)).toBeNull();
  });

  it("is absent if disabled", () => {
    expect(decide(datagram(PLAN4.dns, 53, QUERY), config({ dns: null }))).toBeNull();
  });
});
