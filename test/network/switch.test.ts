import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import { BROADCAST_MAC } from "../../src/base/mac.js";
import { Switch, type SwitchPort } from "../../src/network/switch.js";
import { Stack } from "../../src/stack/stack.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import {
  bindSocket,
  connectSocket,
  localAddress,
  openSocket,
} from "../../src/sys/sockets/socket.js";
import { ARP_LENGTH, ArpOperation, emitArp } from "../../src/wire/arp.js";
import { writeU32 } from "../../src/wire/bytes.js";
import { EtherType, emitEthernet } from "../../src/wire/ethernet.js";
import { IPV4_HEADER_LENGTH } from "../../src/wire/ip.js";
import { VNET_HEADER_LENGTH } from "../../src/wire/vnet.js";
import { GATEWAY_MAC } from "../services/frames.js";

const LOOPBACK = Address.ofIpv4Word(0x7f00_0001);
/** More frames than the burst of one member. */
const FLOOD = 5_000;

interface Member {
  readonly port: SwitchPort;
  readonly address: Address;
  readonly stack: Stack;
  readonly memory: number;
  readonly tap: number;
  readonly far: number;
}

function makeStack(): Stack {
  return new Stack({
    mtu: 1500,
    offload: true,
    mac: GATEWAY_MAC,
    memoryBudget: 1024 * 1024,
    seed: Uint32Array.of(1, 2),
    transmit: () => 0,
  });
}

/** A member whose TAP is a socket, with its own memory for frames. */
function join(network: Switch, number: number): Member {
  const [tap, far] = [openSocket(4, Socket.Datagram), openSocket(4, Socket.Datagram)];
  for (const socket of [tap, far]) bindSocket(socket, LOOPBACK, 0);
  connectSocket(tap, LOOPBACK, localAddress(far)?.port ?? 0);
  connectSocket(far, LOOPBACK, localAddress(tap)?.port ?? 0);
  const stack = makeStack();
  const memory = native.registerMemory(stack.memory);
  const address = Address.ofIpv4Word(0x0a00_0200 + number);
  const port = network.addPort({ mac: 0x0242_0a00_0200 + number, addresses: [address] });
  port.open({ fd: tap, memory, stack, frameHeader: VNET_HEADER_LENGTH });
  return { port, address, stack, memory, tap, far };
}

/** Forwards a frame as sent by the member. @returns whether the gateway gets it, too */
function send(member: Member, frame: Uint8Array, now: number): boolean {
  const { bytes, buffer } = member.stack;
  bytes.set(frame, buffer);
  return member.port.take(buffer, frame.length, now);
}

/** A broadcast datagram, as far as a switch reads it. */
function broadcast({ port, address }: Member): Uint8Array {
  const frame = new Uint8Array(VNET_HEADER_LENGTH + 14 + IPV4_HEADER_LENGTH);
  const { mac } = port.identity;
  emitEthernet(frame, VNET_HEADER_LENGTH, BROADCAST_MAC, mac, EtherType.Ipv4);
  const ip = frame.length - IPV4_HEADER_LENGTH;
  frame[ip] = 0x45;
  writeU32(frame, ip + 12, address.w3);
  return frame;
}

/** An ARP announcement, which goes to all members. */
function announcement({ port, address }: Member): Uint8Array {
  const frame = new Uint8Array(VNET_HEADER_LENGTH + 14 + ARP_LENGTH);
  const { mac } = port.identity;
  emitEthernet(frame, VNET_HEADER_LENGTH, BROADCAST_MAC, mac, EtherType.Arp);
  emitArp(frame, frame.length - ARP_LENGTH, {
    operation: ArpOperation.Request,
    senderMac: mac,
    senderAddress: address,
    targetMac: 0,
    targetAddress: address,
  });
  return frame;
}

/** The frames that a member got, each by the last byte of its sender's address. */
function received({ far }: Member): number[] {
  const senders: number[] = [];
  const frame = new Uint8Array(256);
  while (native.readBytes(far, frame) > 0) senders.push(frame[VNET_HEADER_LENGTH + 11]);
  return senders;
}

describe("group frames", () => {
  let members: readonly Member[];

  beforeEach(() => {
    const network = new Switch(GATEWAY_MAC);
    members = [2, 3, 4].map((number) => join(network, number));
  });

  afterEach(() => {
    for (const { tap, far, memory } of members) {
      for (const fd of [tap, far]) native.close(fd);
      native.unregisterMemory(memory);
    }
  });

  /** How many frames of one member another got. */
  function flood([from, , to]: readonly Member[], frame: Uint8Array, now: number): number {
    let came = 0;
    for (let count = 0; count < FLOOD; count += 1) {
      send(from, frame, now);
      came += received(to).length;
    }
    return came;
  }

  test.for([
    ["datagrams", broadcast],
    ["announcements of ARP", announcement],
  ] as const)("%s of one member leave to another what it may send", ([, compose]) => {
    const [flooder, other, hearer] = members;
    const came = flood(members, compose(flooder), 1_000);
    // The burst, with three copies for each frame.
    expect(came).toBe(Math.floor(4_096 / 3));
    expect(flooder.port.drops.get(DropReason.LimitRate)).toBe(FLOOD - came);
    received(other);
    for (const each of [broadcast(other), announcement(other)]) {
      send(other, each, 1_000);
      expect(received(hearer)).toEqual([3]);
      expect(received(flooder)).toEqual([3]);
    }
    expect(other.port.drops.entries()).toEqual([]);
  });

  test("are limited per member and second", () => {
    const [flooder] = members;
    flood(members, broadcast(flooder), 1_000);
    // 20,000 copies a second.
    expect(flood(members, broadcast(flooder), 1_150)).toBe(1_000);
  });
});
