import { describe, expect, it } from "vitest";
import { Prefix } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import { planFor } from "../../src/config/address-plan.js";
import { EchoService } from "../../src/services/echo.js";
import { icmpChecksumIsRight } from "../../src/wire/icmp.js";
import { linuxFrame } from "../wire/captures.js";
import { parseOk, patched } from "../wire/parsing.js";
import { config, decide, replied } from "./frames.js";

/** Plans whose gateways are the destinations of the captured pings. */
const pinged = config({
  plans: ["198.51.100.0/24", "2001:db8::/64"].map((text) => planFor(Prefix.parse(text))),
});

describe("echo", () => {
  it.each([
    [3, 4],
    [5, 6],
    [8, 9],
    [10, 11],
  ])("answers ping's request in frame %i as the kernel did in frame %i", (request, answer) => {
    const reply = replied(decide(parseOk(linuxFrame(request)), pinged));
    const kernels = parseOk(linuxFrame(answer));
    expect(reply.bytes.subarray(0, 14)).toEqual(kernels.bytes.subarray(0, 14));
    expect(reply.bytes.subarray(reply.transportOffset)).toEqual(
      kernels.bytes.subarray(kernels.transportOffset),
    );
    const { source, destination, hopLimit, trafficClass } = kernels;
    expect(reply).toMatchObject({ source, destination, hopLimit, trafficClass });
    expect(icmpChecksumIsRight(reply.bytes, reply)).toBe(true);
  });

  it("answers for the DNS server too", () => {
    const plan = planFor(Prefix.parse("198.51.100.0/24"));
    const shifted = { ...plan, gateway: plan.guest, dns: plan.gateway };
    expect(replied(decide(parseOk(linuxFrame(3)), config({ plans: [shifted] }))).icmpType).toBe(0);
  });

  it("drops a request that was damaged", () => {
    for (const number of [3, 8]) {
      const damaged = parseOk(patched(linuxFrame(number), { 70: 0xff }));
      const reason = DropReason.IcmpBadChecksum;
      expect(decide(damaged, pinged)).toEqual({ kind: "drop", reason });
    }
  });

  it.each([12, 13, 14, 18])("drops the fragment in frame %i", (number) => {
    const fragment = parseOk(linuxFrame(number));
    expect(decide(fragment, pinged)).toEqual({ kind: "drop", reason: DropReason.IpFragment });
  });

  it("leaves other messages to the gateway to others", () => {
    const message = parseOk(linuxFrame(8).with(54, 129));
    expect(decide(message, pinged)).toEqual({ kind: "pass" });
  });

  it("claims no other destinations, and only its family's ICMP", () => {
    const service = new EchoService(pinged.plans);
    const elsewhere = new EchoService(config().plans);
    expect(elsewhere.claims(parseOk(linuxFrame(3)))).toBe(false);
    expect(service.claims(parseOk(linuxFrame(24)))).toBe(false);
    expect(service.claims(parseOk(linuxFrame(8).with(20, 1)))).toBe(false);
    expect(service.claims(parseOk(linuxFrame(1)))).toBe(false);
  });
});
