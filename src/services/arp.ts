import { DropReason } from "../base/drop.js";
import { isMulticastMac, type Mac } from "../base/mac.js";
import { findPlan } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import { ARP_LENGTH, type ArpMessage, ArpOperation, emitArp, parseArp } from "../wire/arp.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import { LinkAddresses } from "./link-addresses.js";
import { drop, type Service, type Verdict } from "./service.js";

/** Answers ARP requests: for which addresses, link-addresses.ts says. There is no answer for an address that nobody has. */
export class ArpService implements Service {
  readonly name = "arp";
  readonly isLimited = false;
  readonly #mac: Mac;
  /** null: the guest has no IPv4. */
  readonly #addresses: LinkAddresses | null;

  constructor({ plans, gatewayMac }: Pick<GuestConfig, "plans" | "gatewayMac">) {
    const plan = findPlan(plans, 4);
    this.#mac = gatewayMac;
    this.#addresses = plan === null ? null : new LinkAddresses(plan);
  }

  claims(frame: Frame): boolean {
    return frame.etherType === EtherType.Arp;
  }

  handle(frame: Frame): Verdict {
    const message = parseArp(frame.bytes, frame.payloadOffset, frame.payloadLength);
    if (message === null || isMulticastMac(message.senderMac)) return drop(DropReason.ArpMalformed);
    if (!this.#isForUs(message)) return drop(DropReason.ArpNotForUs);
    return { kind: "reply", frame: this.#reply(message) };
  }

  #isForUs({ operation, senderAddress, targetAddress }: ArpMessage): boolean {
    if (operation !== ArpOperation.Request) return false;
    // A probe has no sender address yet, an announcement names its sender (RFC 5227 §1.1).
    const detects = senderAddress.isUnspecified || senderAddress.equals(targetAddress);
    return this.#addresses?.answersFor(targetAddress, detects) === true;
  }

  #reply(request: ArpMessage): Uint8Array {
    const frame = new Uint8Array(ETHERNET_HEADER_LENGTH + ARP_LENGTH);
    const offset = emitEthernet(frame, 0, request.senderMac, this.#mac, EtherType.Arp);
    emitArp(frame, offset, {
      operation: ArpOperation.Reply,
      senderMac: this.#mac,
      senderAddress: request.targetAddress,
      targetMac: request.senderMac,
      targetAddress: request.senderAddress,
    });
    return frame;
  }
}
