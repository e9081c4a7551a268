import type { Family } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import type { DnsConfig } from "../config/dns-config.js";
import type { GuestConfig } from "../config/guest-config.js";
import { isOurDns } from "../nat/translate.js";
import { composeDatagram } from "../wire/datagram.js";
import {
  answerFrom,
  composeDnsFailure,
  DNS_PORT,
  DnsRcode,
  fitDnsAnswer,
  parseDnsQuery,
  refuseDnsMessage,
} from "../wire/dns.js";
import type { Frame } from "../wire/frame.js";
import { IpProtocol } from "../wire/ip.js";
import { drop, type Service, type Verdict } from "./service.js";

export const DNS_SERVICE = "dns";

/** The DNS server for one family: answers the names it knows and has others resolved. */
export class DnsService implements Service {
  readonly name = DNS_SERVICE;
  readonly isLimited = true;
  readonly #family: Family;
  readonly #config: DnsConfig;
  readonly #mac: Mac;
  readonly #guest: GuestConfig;

  /** @param mac the gateway's Ethernet address */
  constructor(family: Family, config: DnsConfig, mac: Mac, guest: GuestConfig) {
    this.#family = family;
    this.#config = config;
    this.#mac = mac;
    this.#guest = guest;
  }

  claims(frame: Frame): boolean {
    return (
      frame.protocol === IpProtocol.Udp &&
      frame.family === this.#family &&
      isOurDns(this.#guest, frame.destination, frame.destinationPort)
    );
  }

  handle(frame: Frame): Verdict {
    const { bytes, payloadOffset, payloadLength } = frame;
    const message = bytes.subarray(payloadOffset, payloadOffset + payloadLength);
    const client = { mac: frame.sourceMac, address: frame.source, port: frame.sourcePort };
    const server = { mac: this.#mac, address: frame.destination, port: DNS_PORT };
    const query = parseDnsQuery(message);
    if (query === null) {
      const { answer, reason } = refuseDnsMessage(message);
      if (answer === null) return drop(reason);
      return { kind: "refuse", frame: composeDatagram(server, client, answer), reason };
    }
    const reply = (answer: Uint8Array): Verdict => ({
      kind: "reply",
      frame: composeDatagram(
        server,
        client,
        fitDnsAnswer(query, answer, frame.family, this.#guest.mtu),
      ),
    });
    const { records, upstream } = this.#config;
    const own = answerFrom(records, query);
    if (own !== null) return reply(own);
    // Without a name server the client gets an error at once instead of a time-out.
    if (upstream.servers.length === 0) {
      return reply(composeDnsFailure(query, DnsRcode.ServerFailure));
    }
    return { kind: "resolve", query, client, server };
  }
}
