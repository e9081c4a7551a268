import { Address } from "../base/address.js";
import { type Mac, readMac } from "../base/mac.js";
import { ARP_LENGTH, ArpOperation, emitArp } from "../wire/arp.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import { IPV6_SOURCE } from "../wire/ip.js";
import {
  composeNdpFrame,
  emitNeighbor,
  NdpType,
  NeighborFlags,
  neighborLength,
} from "../wire/ndp.js";

/** The group of all nodes of a link (RFC 4291 §2.7.1), and its MAC (RFC 2464 §7). */
const ALL_NODES = Address.ofWords(0xff02_0000, 0, 0, 1);
const ALL_NODES_MAC: Mac = 0x3333_0000_0001;

/** Offset of the sender's address in an ARP packet (RFC 826). */
const ARP_SENDER = 14;

/**
 * Answers an ARP request or neighbour solicitation in the place of its target, as a proxy (RFC 4861 §7.2.8), but with
 * the target's own MAC. The answer overwrites the question.
 * @param at offset of the question's Ethernet header
 * @param asked the address that it asks for
 * @param mac of the member that has the address
 * @returns length of the answer from there on, in bytes
 */
export function answerNeighbor(bytes: Uint8Array, at: number, asked: Address, mac: Mac): number {
  return asked.family === 4 ? answerArp(bytes, at, asked, mac) : answerNdp(bytes, at, asked, mac);
}

function answerArp(bytes: Uint8Array, at: number, asked: Address, mac: Mac): number {
  const start = at + ETHERNET_HEADER_LENGTH;
  const asker = readMac(bytes, at + 6);
  const message = {
    operation: ArpOperation.Reply,
    senderMac: mac,
    senderAddress: asked,
    targetMac: asker,
    // Zero in the answer to a probe (RFC 5227 §2.1.1), too.
    targetAddress: Address.read(bytes, start + ARP_SENDER, 4),
  };
  emitEthernet(bytes, at, asker, mac, EtherType.Arp);
  emitArp(bytes, start, message);
  return ETHERNET_HEADER_LENGTH + ARP_LENGTH;
}

function answerNdp(bytes: Uint8Array, at: number, asked: Address, mac: Mac): number {
  const source = Address.read(bytes, at + ETHERNET_HEADER_LENGTH + IPV6_SOURCE, 6);
  const flags = source.isUnspecified
    ? NeighborFlags.Override
    : NeighborFlags.Solicited + NeighborFlags.Override;
  const advertisement = { type: NdpType.NeighborAdvertisement, flags, target: asked, mac };
  const message = new Uint8Array(neighborLength(advertisement));
  emitNeighbor(message, 0, advertisement);
  // RFC 4861 §7.2.4: who has no address yet hears it as one of all nodes.
  const frame = source.isUnspecified
    ? composeNdpFrame(asked, mac, ALL_NODES, ALL_NODES_MAC, message)
    : composeNdpFrame(asked, mac, source, readMac(bytes, at + 6), message);
  bytes.set(frame, at);
  return frame.length;
}
