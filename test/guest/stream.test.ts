import { afterEach, beforeEach, expect, test } from "vitest";
import { DropReason } from "../../src/base/drop.js";
import { LONGEST_FRAME } from "../../src/frames/frame-stream.js";
import type { Guest } from "../../src/guest/guest.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { socketPair } from "../../src/sys/sockets/socket.js";
import {
  arp,
  ethernet,
  frame,
  ghost,
  ghostMac,
  mac,
  udp,
  vnetLength,
  zeros,
} from "../e2e/attacks/frames.ts";
import { OWN_OPEN } from "../nat/plans.js";
import { config } from "../services/frames.js";
import { makeGuest, openWorld } from "./link.js";

const GATEWAY = "10.0.2.2";

let guest: Guest;
let client: number;
let world: number;
let port: number;
let now: number;
/** How the link ended: whether the framing was lost. */
let ends: boolean[];

beforeEach(() => {
  now = 1_000;
  ends = [];
  const pair = socketPair();
  if (typeof pair === "number") throw new Error(`socketpair: ${pair}`);
  const [fd] = pair;
  client = pair[1];
  ({ world, port } = openWorld());
  const settings = config({ plans: OWN_OPEN });
  const tap = { fd, vnetHeader: false, isStream: true, onEnd: (lost: boolean) => ends.push(lost) };
  guest = makeGuest(tap, settings, () => now);
});

afterEach(() => {
  guest.close();
  native.close(client);
  native.close(world);
});

/** A frame of the attacks, with its length in the place of the virtio header. */
function framed(frame: Uint8Array, length = frame.length - vnetLength): Uint8Array {
  const whole = frame.slice(vnetLength - 4);
  new DataView(whole.buffer).setUint32(0, length);
  return whole;
}

/** Turns as long as the guest wants the next at once. @returns how many it had */
function turns(): number {
  guest.onTap(now, false);
  for (let count = 1; ; count += 1) if (guest.turn(now) > now) return count;
}

function send(...parts: readonly Uint8Array[]): number {
  const whole = Buffer.concat(parts);
  expect(native.writeBytes(client, whole)).toBe(whole.length);
  now += 1;
  return turns();
}

/** Lengths of the datagrams that the world has got. */
function arrived(): number[] {
  const lengths: number[] = [];
  for (;;) {
    const length = native.readBytes(world, new Uint8Array(2_000));
    if (length < 0) return lengths;
    lengths.push(length);
  }
}

const datagram = (length: number) => framed(udp(GATEWAY, 40_000, port, zeros(length)));

test("a frame is relayed, and its answer is framed", () => {
  send(datagram(100));
  expect(arrived()).toEqual([100]);
  send(framed(frame(ethernet.arp, arp(1, mac(ghostMac), ghost, GATEWAY))));
  const answer = new Uint8Array(2_000);
  const length = native.readBytes(client, answer);
  expect(new DataView(answer.buffer).getUint32(0)).toBe(length - 4);
  expect([...answer.subarray(4, 10)]).toEqual(mac(ghostMac));
});

test("frames that come at once are all relayed, in several turns that are asked for", () => {
  const lengths = Array.from({ length: 500 }, (_, index) => index + 1);
  expect(send(...lengths.map(datagram))).toBeGreaterThan(2);
  expect(arrived()).toEqual(lengths);
});

test("a length that cannot be ends the link, after the frames before it", () => {
  send(
    datagram(10),
    framed(udp(GATEWAY, 40_000, port, zeros(20)), LONGEST_FRAME + 1),
    datagram(30),
  );
  expect(arrived()).toEqual([10]);
  expect(ends).toEqual([true]);
  expect(guest.drops.get(DropReason.LinkFraming)).toBe(1);
});

test("a frame longer than the MTU, which is a right one, costs only itself", () => {
  send(framed(zeros(LONGEST_FRAME + vnetLength)), datagram(10));
  expect(arrived()).toEqual([10]);
  expect(ends).toEqual([]);
});

test("the end of the client ends the link", () => {
  send(datagram(10).subarray(0, 20));
  native.shutdown(client, Socket.ShutdownWrite);
  turns();
  expect(ends).toEqual([false]);
  expect(guest.drops.entries()).toEqual([]);
});

test("after a failure of the stack a frame goes on where it was cut", () => {
  const whole = datagram(100);
  send(whole.subarray(0, 50));
  guest.restart();
  send(whole.subarray(50));
  expect(arrived()).toEqual([100]);
  expect(ends).toEqual([]);
});
