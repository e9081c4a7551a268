import { describe, expect, it } from "vitest";
import { type Address, Prefix } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import { BROADCAST_MAC } from "../../src/base/mac.js";
import { planFor } from "../../src/config/address-plan.js";
import { type ArpMessage, ArpOperation, emitArp, parseArp } from "../../src/wire/arp.js";
import { EtherType, emitEthernet } from "../../src/wire/ethernet.js";
import type { Frame } from "../../src/wire/frame.js";
import { address } from "../base/addresses.js";
import { linuxFrame } from "../wire/captures.js";
import { parseOk } from "../wire/parsing.js";
import { config, decide, GATEWAY_MAC, GUEST_MAC, PLAN4, replied } from "./frames.js";

const UNSPECIFIED = address("0.0.0.0");

function asking(target: Address, changes: Partial<ArpMessage> = {}): Frame {
  const bytes = new Uint8Array(42);
  emitEthernet(bytes, 0, BROADCAST_MAC, GUEST_MAC, EtherType.Arp);
  emitArp(bytes, 14, {
    operation: ArpOperation.Request,
    senderMac: GUEST_MAC,
    senderAddress: PLAN4.guest,
    targetMac: 0,
    targetAddress: target,
    ...changes,
  });
  return parseOk(bytes);
}

describe("ARP", () => {
  it.each([PLAN4.gateway, PLAN4.dns])("answers for %s", (ours) => {
    const reply = replied(decide(asking(ours), config()));
    expect(reply).toMatchObject({ destinationMac: GUEST_MAC, sourceMac: GATEWAY_MAC });
    expect(parseArp(reply.bytes, reply.payloadOffset, reply.payloadLength)).toEqual({
      operation: ArpOperation.Reply,
      senderMac: GATEWAY_MAC,
      senderAddress: ours,
      targetMac: GUEST_MAC,
      targetAddress: PLAN4.guest,
    });
  });

  it("answers a Linux kernel, padded to the shortest frame", () => {
    const padded = new Uint8Array(60);
    padded.set(linuxFrame(1));
    const plan = planFor(Prefix.parse("198.51.100.0/24"));
    const reply = replied(decide(parseOk(padded), config({ plans: [plan] })));
    const message = parseArp(reply.bytes, 14, 28);
    expect([message?.senderMac, message?.senderAddress]).toEqual([0x5255c6336402, plan.gateway]);
  });

  it("is silent about the guest's address, so that conflict detection finds it free", () => {
    const probe = asking(PLAN4.guest, { senderAddress: UNSPECIFIED });
    const announcement = asking(PLAN4.guest, { senderAddress: PLAN4.guest });
    for (const frame of [probe, announcement]) {
      expect(decide(frame, config())).toEqual({ kind: "drop", reason: DropReason.ArpNotForUs });
    }
  });

  it("answers a probe for the gateway's address", () => {
    const probe = asking(PLAN4.gateway, { senderAddress: UNSPECIFIED });
    const reply = replied(decide(probe, config()));
    expect(parseArp(reply.bytes, 14, 28)).toMatchObject({
      senderAddress: PLAN4.gateway,
      targetAddress: UNSPECIFIED,
    });
  });

  it("is silent about unassigned addresses, and to replies", () => {
    const frames = [
      asking(address("10.0.2.50")),
      asking(address("203.0.113.1")),
      asking(PLAN4.gateway, { operation: ArpOperation.Reply }),
    ];
    for (const frame of frames) {
      expect(decide(frame, config())).toEqual({ kind: "drop", reason: DropReason.ArpNotForUs });
    }
  });

  it("drops messages other than ARP, and those of a group sender", () => {
    const cut = parseOk(asking(PLAN4.gateway).bytes.subarray(0, 41));
    const group = asking(PLAN4.gateway, { senderMac: BROADCAST_MAC });
    for (const frame of [cut, group]) {
      expect(decide(frame, config())).toEqual({ kind: "drop", reason: DropReason.ArpMalformed });
    }
  });
});
