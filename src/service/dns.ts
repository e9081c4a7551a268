import { decode, encode, type Packet } from "dns-packet";
import type { Address } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { AddressPlan, DnsConfig } from "../base/plan.js";
import { readU16 } from "../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import { IpProtocol, ipHeaderLength } from "../wire/ip.js";
import { emitReplyHeaders } from "../wire/reply.js";
import { emitUdp, UDP_HEADER_LENGTH, writeUdpChecksum } from "../wire/udp.js";
import { drop, type Service, type Verdict } from "./service.js";

const DNS_PORT = 53;

/** RFC 1035 §4.1.1: offsets in the header. */
const QUESTION_COUNT = 4;
const RECORD_COUNTS = 6;
const HEADER_LENGTH = 12;

/** RFC 1035 §4.1.1: response code "server failure", and the bits of recursion. */
const SERVFAIL = 2;
const RECURSION_DESIRED = 0x100;
const RECURSION_AVAILABLE = 0x80;

/** The DNS server of one address plan: hands queries to the host's first resolver. */
export class DnsService implements Service {
  readonly name = "dns";
  readonly #address: Address;
  readonly #config: DnsConfig;

  constructor(plan: AddressPlan, config: DnsConfig) {
    this.#address = plan.dns;
    this.#config = config;
  }

  claims(frame: Frame): boolean {
    return (
      frame.protocol === IpProtocol.Udp &&
      frame.destinationPort === DNS_PORT &&
      frame.destination.equals(this.#address)
    );
  }

  handle(frame: Frame): Verdict {
    const [to] = this.#config.upstream.servers;
    if (to === undefined) return refusal(frame);
    return { kind: "forward", to, port: DNS_PORT, as: this.#address };
  }
}

/** Without a resolver a client learns so at once, instead of waiting for its time-out. */
function refusal(frame: Frame): Verdict {
  const query = decodeQuery(frame);
  if (query === null) return drop(DropReason.DnsMalformed);
  const answer = encode({
    type: "response",
    id: query.id ?? 0,
    flags: ((query.flags ?? 0) & RECURSION_DESIRED) | RECURSION_AVAILABLE | SERVFAIL,
    questions: query.questions ?? [],
  });
  return { kind: "reply", frame: datagram(frame, answer) };
}

/** The header and the one question of a query; null when the message is anything else. */
function decodeQuery(frame: Frame): Packet | null {
  const { bytes, payloadOffset, payloadLength } = frame;
  const message = Buffer.from(bytes.subarray(payloadOffset, payloadOffset + payloadLength));
  if (payloadLength < HEADER_LENGTH || readU16(message, QUESTION_COUNT) !== 1) return null;
  // Compressed names let a small message grow to thousands of long records: decode none of them.
  message.fill(0, RECORD_COUNTS, HEADER_LENGTH);
  try {
    const packet = decode(message);
    return packet.type === "query" ? packet : null;
  } catch {
    // dns-packet throws errors of several kinds when the message ends early or points astray.
    return null;
  }
}

/** A whole frame with a datagram from the server to the client that sent `query`. */
function datagram(query: Frame, payload: Uint8Array): Uint8Array {
  const length = UDP_HEADER_LENGTH + payload.length;
  const headers = ETHERNET_HEADER_LENGTH + ipHeaderLength(query.family);
  const reply = new Uint8Array(headers + length);
  const udp = emitReplyHeaders(reply, 0, query, query.destination, IpProtocol.Udp, length);
  emitUdp(reply, udp, query.destinationPort, query.sourcePort, payload.length, 0);
  reply.set(payload, udp + UDP_HEADER_LENGTH);
  writeUdpChecksum(reply, udp, length, query.destination, query.source);
  return reply;
}
