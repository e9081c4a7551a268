import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { Address } from "../src/base/address.js";
import { Loop } from "../src/loop.js";
import { Switch, type SwitchPort } from "../src/network/switch.js";
import { Socket } from "../src/sys/constants.js";
import { native } from "../src/sys/native.js";
import { bindSocket, connectSocket, localAddress, openSocket } from "../src/sys/socket.js";
import { writeU32 } from "../src/wire/bytes.js";
import { EtherType, emitEthernet } from "../src/wire/ethernet.js";
import { IPV4_HEADER_LENGTH } from "../src/wire/ip.js";
import { VNET_HEADER_LENGTH } from "../src/wire/vnet.js";
import { config, GATEWAY_MAC } from "./service/frames.js";

const LOOPBACK = Address.ofIpv4Word(0x7f00_0001);
const FLOOD = 200;
const FRAME = VNET_HEADER_LENGTH + 14 + IPV4_HEADER_LENGTH;

/** A socket in a TAP's place, and the guest's end of it. */
function makeLink(): { tap: number; far: number } {
  const [tap, far] = [openSocket(4, Socket.Datagram), openSocket(4, Socket.Datagram)];
  for (const socket of [tap, far]) {
    bindSocket(socket, LOOPBACK, 0);
    native.setsockopt(socket, Socket.LevelSocket, Socket.ReceiveBuffer, 1 << 20);
  }
  connectSocket(tap, LOOPBACK, localAddress(far)?.port ?? 0);
  connectSocket(far, LOOPBACK, localAddress(tap)?.port ?? 0);
  return { tap, far };
}

/** The least that a member may send to another. */
function frameBetween(from: SwitchPort, to: SwitchPort): Uint8Array {
  const frame = new Uint8Array(FRAME);
  emitEthernet(frame, VNET_HEADER_LENGTH, to.identity.mac, from.identity.mac, EtherType.Ipv4);
  const ip = FRAME - IPV4_HEADER_LENGTH;
  frame[ip] = 0x45;
  writeU32(frame, ip + 12, from.identity.addresses[0].w3);
  return frame;
}

test("a frame does not wait for all that another member has sent before", async () => {
  const network = new Switch(GATEWAY_MAC);
  const members = [2, 3, 4].map((number) => {
    const addresses = [Address.ofIpv4Word(0x0a00_0200 + number)];
    return { ...makeLink(), port: network.addPort({ mac: 0x0242_0a00_0200 + number, addresses }) };
  });
  const [flooder, other, sink] = members;
  const flood = frameBetween(flooder.port, sink.port);
  for (let count = 0; count < FLOOD; count += 1) native.writeBytes(flooder.far, flood);
  native.writeBytes(other.far, frameBetween(other.port, sink.port));
  const loop = new Loop();
  for (const { tap, port } of members) {
    const handle = { fd: tap, vnetHeader: true };
    loop.addGuest(handle, config(), () => undefined, null, port);
  }
  loop.start();
  const senders: number[] = [];
  const frame = new Uint8Array(FRAME);
  try {
    while (senders.length <= FLOOD) {
      if (native.readBytes(sink.far, frame) > 0) senders.push(frame[FRAME - 5]);
      else await delay(1);
    }
  } finally {
    loop.stop();
    for (const { far } of members) native.close(far);
  }
  expect(senders.filter((last) => last === 2)).toHaveLength(FLOOD);
  expect(senders.indexOf(3)).toBeLessThan(32);
});
