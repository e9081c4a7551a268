import { Address, includesAddress } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import { type AddressPlan, ownAddresses } from "../config/address-plan.js";
import { translateDestination } from "../nat/translate.js";
import { ETHERNET_HEADER_LENGTH } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import {
  emitEchoReply,
  ICMP_HEADER_LENGTH,
  icmpChecksumIsRight,
  icmpProtocol,
  isEchoRequest,
  writeIcmpChecksum,
} from "../wire/icmp.js";
import { ipHeaderLength } from "../wire/ip.js";
import { copyBytes, DEFAULT_HOP_LIMIT, emitReplyHeaders } from "../wire/reply.js";
import { drop, PASS, type Service, type Verdict } from "./service.js";

/**
 * Answers ping to the addresses of gateway and DNS server, in each family. Where the plan is a copy of the host's, only to
 * those that lead nowhere: at the others somebody else answers, the host itself at a mapped one.
 */
export class EchoService implements Service {
  readonly name = "echo";
  readonly isLimited = true;
  readonly #ours: readonly Address[];

  constructor(plans: readonly AddressPlan[]) {
    this.#ours = plans.flatMap((plan) =>
      plan.neighbors === "nobody"
        ? ownAddresses([plan])
        : ownAddresses([plan]).filter((own) => !leadsSomewhere(plan, own)),
    );
  }

  claims(frame: Frame): boolean {
    if (frame.protocol !== icmpProtocol(frame.family)) return false;
    return includesAddress(this.#ours, frame.destination);
  }

  handle(frame: Frame): Verdict {
    if (frame.isFragment) return drop(DropReason.IpFragment);
    if (!isEchoRequest(frame.family, frame.icmpType)) return PASS;
    if (!icmpChecksumIsRight(frame.bytes, frame)) return drop(DropReason.IcmpBadChecksum);
    return { kind: "reply", frame: echoReply(frame) };
  }
}

function leadsSomewhere(plan: AddressPlan, address: Address): boolean {
  return translateDestination({ plans: [plan] }, address, 0) instanceof Address;
}

function echoReply(request: Frame): Uint8Array {
  const { family, payloadLength } = request;
  const length = ICMP_HEADER_LENGTH + payloadLength;
  const reply = new Uint8Array(ETHERNET_HEADER_LENGTH + ipHeaderLength(family) + length);
  const from = request.destination;
  const fields = { source: from, protocol: icmpProtocol(family), hopLimit: DEFAULT_HOP_LIMIT };
  const message = emitReplyHeaders(reply, 0, request, fields, length);
  emitEchoReply(reply, message, family, request.identifier, request.sequence);
  copyBytes(
    request.bytes,
    request.payloadOffset,
    reply,
    message + ICMP_HEADER_LENGTH,
    payloadLength,
  );
  writeIcmpChecksum(reply, message, length, from, request.source);
  return reply;
}
