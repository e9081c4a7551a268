import { expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { composeEthernet, etherTypeOf } from "../../src/wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "../../src/wire/frame.js";
import { emitIp, ipHeaderLength } from "../../src/wire/ip.js";

const GUEST = 0x0200_0000_0001;
const GATEWAY = 0x5255_0a00_0202;

it.each([
  [4, "10.0.2.2", "10.0.2.100"],
  [6, "fd00::2", "fd00::64"],
] as const)("frames a packet of IPv%i with its EtherType", (family, from, to) => {
  const [source, destination] = [from, to].map(addressOf);
  const packet = new Uint8Array(ipHeaderLength(family));
  emitIp(packet, 0, { source, destination, protocol: 253, hopLimit: 64, trafficClass: 0 }, 0);
  const bytes = composeEthernet(GUEST, GATEWAY, packet);
  const frame = new Frame(bytes);
  expect(parseFrame(frame, 0, bytes.length, createAddressCaches())).toBe(0);
  expect(frame.etherType).toBe(etherTypeOf(family));
  expect([frame.destinationMac, frame.sourceMac]).toEqual([GUEST, GATEWAY]);
  expect(`${frame.source} ${frame.destination}`).toBe(`${from} ${to}`);
});

function addressOf(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(`${text} does not parse`);
  return address;
}
