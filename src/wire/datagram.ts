import type { Address } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import { ETHERNET_HEADER_LENGTH, emitEthernet, etherTypeOf } from "./ethernet.js";
import { emitIp, IpProtocol, ipHeaderLength } from "./ip.js";
import { DEFAULT_HOP_LIMIT } from "./reply.js";
import { emitUdp, UDP_HEADER_LENGTH, writeUdpChecksum } from "./udp.js";

/** Source or destination of a datagram on the link; both have the same family. */
export interface LinkEndpoint {
  readonly mac: Mac;
  readonly address: Address;
  readonly port: number;
}

/** Composes an Ethernet frame with a UDP datagram and complete checksums. */
export function composeDatagram(
  from: LinkEndpoint,
  to: LinkEndpoint,
  payload: Uint8Array,
): Uint8Array {
  const { family } = from.address;
  const udp = ETHERNET_HEADER_LENGTH + ipHeaderLength(family);
  const length = UDP_HEADER_LENGTH + payload.length;
  const frame = new Uint8Array(udp + length);
  emitEthernet(frame, 0, to.mac, from.mac, etherTypeOf(family));
  const fields = {
    source: from.address,
    destination: to.address,
    protocol: IpProtocol.Udp,
    hopLimit: DEFAULT_HOP_LIMIT,
    trafficClass: 0,
  };
  emitIp(frame, ETHERNET_HEADER_LENGTH, fields, length);
  emitUdp(frame, udp, from.port, to.port, payload.length, 0);
  frame.set(payload, udp + UDP_HEADER_LENGTH);
  writeUdpChecksum(frame, udp, length, from.address, to.address);
  return frame;
}
