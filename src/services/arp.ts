import { type Address, includesAddress } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import { isMulticastMac, type Mac } from "../base/mac.js";
import { ownAddresses } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import { ARP_LENGTH, type ArpMessage, ArpOperation, emitArp, parseArp } from "../wire/arp.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import { drop, type Service, type Verdict } from "./service.js";

/**
 * Answers ARP requests for Slipway's own addresses only. No answer for the guest's address, so that its address
 * conflict detection (RFC 5227) finds none; none for an address nobody has, which is unreachable then.
 */
export class ArpService implements Service {
  readonly name = "arp";
  readonly isLimited = false;
  readonly #mac: Mac;
  readonly #ours: readonly Address[];

  constructor({ plans, gatewayMac }: Pick<GuestConfig, "plans" | "gatewayMac">) {
    this.#mac = gatewayMac;
    this.#ours = ownAddresses(plans);
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

  #isForUs(message: ArpMessage): boolean {
    return (
      message.operation === ArpOperation.Request &&
      includesAddress(this.#ours, message.targetAddress)
    );
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
