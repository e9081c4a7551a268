import { decode, encode } from "dns-packet";
import { describe, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import type { NameTable } from "../../src/config/dns-config.js";
import { translateDestination } from "../../src/nat/translate.js";
import { addressOfReverseName } from "../../src/wire/dns.js";
import { composeNdpFrame } from "../../src/wire/ndp.js";
import { address } from "../base/addresses.js";
import { parseOk } from "../wire/parsing.js";
import { config, datagram, decide, dnsConfig, GUEST_MAC, PLAN4, replied } from "./frames.js";

const DB = [address("10.0.2.7"), address("fd00::7")];

/** The names of a network: records are looked up by type. */
const records: NameTable = {
  get: (name, type) => (name === "db" && type !== "MX" ? DB : undefined),
  nameOf: (owner: Address) => (DB.some((each) => each.equals(owner)) ? "db.web" : undefined),
  isOurs: (subject) => subject instanceof Address || subject.endsWith(".web"),
};
const member = config({
  dns: { ...dnsConfig(), records },
  membership: {
    mayReach: (destination) => !destination.equals(address("10.89.1.2")),
    isGateway: (destination) => destination.equals(address("10.89.1.1")),
  },
});

describe("a member of a network", () => {
  test.each([
    ["7.2.0.10.in-addr.arpa", "10.0.2.7"],
    [`7.${"0.".repeat(27)}0.0.d.f.ip6.arpa`, "fd00::7"],
    ["2.0.10.in-addr.arpa", null],
    ["7.2.0.300.in-addr.arpa", null],
    ["7.0.0.d.f.ip6.arpa", null],
    ["in-addr.arpa", null],
    ["db", null],
  ])("%s asks about %s", (name, asked) => {
    expect(addressOfReverseName(name)?.toString() ?? null).toBe(asked);
  });

  test.each(["7.2.0.10.in-addr.arpa", `7.${"0.".repeat(27)}0.0.d.f.ip6.arpa`])(
    "is told who has the address of %s",
    (name) => {
      const query = encode({ id: 9, type: "query", questions: [{ type: "PTR", name }] });
      const frame = replied(decide(datagram(PLAN4.dns, 53, query), member));
      const { bytes, payloadOffset, payloadLength } = frame;
      const { answers } = decode(
        Buffer.from(bytes.subarray(payloadOffset, payloadOffset + payloadLength)),
      );
      expect(answers?.map((answer) => [answer.type, "data" in answer && answer.data])).toEqual([
        ["PTR", "db.web"],
      ]);
    },
  );

  test.each([
    ["PTR", "7.2.0.10.in-addr.arpa", "NOERROR", 1],
    ["A", "7.2.0.10.in-addr.arpa", "NOERROR", 0],
    ["PTR", "8.2.0.10.in-addr.arpa", "NXDOMAIN", 0],
    ["A", "nobody.web", "NXDOMAIN", 0],
    ["TXT", "nobody.web", "NXDOMAIN", 0],
    // There is no name server that could be asked.
    ["A", "nobody.example", "SERVFAIL", 0],
  ] as const)("is answered %s of %s by us: %s", (type, name, rcode, count) => {
    const query = encode({ id: 9, type: "query", questions: [{ type, name }] });
    const frame = replied(decide(datagram(PLAN4.dns, 53, query), member));
    const { bytes, payloadOffset, payloadLength } = frame;
    const answer = decode(
      Buffer.from(bytes.subarray(payloadOffset, payloadOffset + payloadLength)),
    );
    expect(answer).toMatchObject({ rcode });
    expect(answer.answers).toHaveLength(count);
  });

  test.each(["10.89.1.1", "10.89.1.3"])("asks the gateway %s of another network", (server) => {
    const query = encode({ id: 9, type: "query", questions: [{ type: "A", name: "db" }] });
    const verdict = decide(datagram(address(server), 53, query), member);
    if (server !== "10.89.1.1") expect(verdict).toBeNull();
    else expect(replied(verdict).source.toString()).toBe(server);
  });

  test("is not told to autoconfigure an address", () => {
    const asked = { source: address("fe80::64"), routers: address("ff02::2") };
    const solicitation = Uint8Array.of(133, 0, 0, 0, 0, 0, 0, 0);
    const frame = composeNdpFrame(
      asked.source,
      GUEST_MAC,
      asked.routers,
      0x3333_0000_0002,
      solicitation,
    );
    expect(decide(parseOk(frame), member)).toEqual({
      kind: "drop",
      reason: DropReason.NdpNotForUs,
    });
    expect(decide(parseOk(frame), config())?.kind).toBe("reply");
  });

  test("does not reach destinations that its network forbids", () => {
    expect(translateDestination(member, address("10.89.1.2"), 80)).toBe(DropReason.PolicyDenied);
    const open = address("10.89.1.3");
    expect(translateDestination(member, open, 80)).toBe(open);
  });
});
