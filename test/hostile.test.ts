import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DropReason } from "../src/base/drop.js";
import type { Guest } from "../src/guest/guest.js";
import { Stack } from "../src/stack/stack.js";
import { native } from "../src/sys/native.js";
import { createAddressCaches, Frame, parseFrame } from "../src/wire/frame.js";
import {
  arp,
  bytes,
  ethernet,
  flag,
  frame,
  gatewayMac,
  ghost,
  icmp,
  ipv4,
  mac,
  protocol,
  tcp,
  udp,
  vnet,
  vnetLength,
  zeros,
} from "./e2e/attacks/frames.ts";
import { makeGuest, makeLink, openWorld } from "./guest/link.js";
import { OWN_OPEN } from "./nat/plans.ts";
import { config } from "./services/frames.ts";

const gateway = "10.0.2.2";

/**
 * Frames that the kernel would refuse to carry also reach a guest's code: a socket takes the place of the
 * TAP. All destinations are the host's loopback, through the gateway.
 */
describe("a guest whose TAP says anything", () => {
  let guest: Guest;
  let far: number;

  beforeEach(() => {
    const link = makeLink();
    far = link.far;
    const tap = { fd: link.tap, vnetHeader: true };
    guest = makeGuest(tap, config({ plans: OWN_OPEN }), () => now);
  });
  afterEach(() => {
    guest.close();
    native.close(far);
  });

  let now = 1_000;

  /** Processes each frame in a turn of its own. @returns how many frames came back */
  function feed(frames: readonly Uint8Array[]): number {
    const answer = new Uint8Array(66_000);
    let answers = 0;
    for (const each of frames) {
      expect(native.writeBytes(far, each)).toBe(each.length);
      now += 1;
      guest.onTap(now, false);
      guest.turn(now);
      while (native.readBytes(far, answer) > 0) answers += 1;
    }
    return answers;
  }

  const carried = [
    ["TCP", tcp(gateway, 40_000, 9, flag.syn)],
    ["TCP with data", tcp(gateway, 40_001, 9, flag.ack, { payload: zeros(3_000) })],
    ["UDP", udp(gateway, 40_000, 9, zeros(3_000))],
    ["ping", frame(ethernet.ipv4, ipv4(gateway, protocol.icmp, icmp(8, 0, zeros(100))))],
    ["ARP", frame(ethernet.arp, arp(1, mac("02:00:00:00:00:77"), ghost, gateway))],
  ] as const;

  test.each(carried)("in the virtio header of %s", (_, whole) => {
    const rest = whole.subarray(vnetLength);
    const numbers = [0, 1, 7, 8, 54, 1_460, whole.length, 0x7fff, 0xffff];
    const headers = [0, 1, 2, 3, 4, 5, 6, 0x80, 0x81, 0x85, 0xff].flatMap((gsoType) =>
      [0, 1, 2, 3, 4, 7, 0xff].flatMap((flags) => [
        ...numbers.map((gsoSize) => vnet({ gsoType, flags, gsoSize })),
        ...numbers.map((checksumStart) => vnet({ gsoType, flags, gsoSize: 1_000, checksumStart })),
        ...numbers.map((checksumOffset) =>
          vnet({ gsoType, flags, gsoSize: 1, checksumStart: 34, checksumOffset }),
        ),
        ...numbers.map((headerLength) => vnet({ gsoType, flags, headerLength, gsoSize: 65_535 })),
      ]),
    );
    feed(headers.map((header) => bytes(header, rest)));
    const { memoryInUse, tcpFlows } = guest.statistics();
    // Nobody tells this guest that its one connection was refused.
    expect(tcpFlows).toBeLessThanOrEqual(1);
    expect(memoryInUse).toBeLessThan(3 * 1024 * 1024);
    // It still answers.
    expect(feed([carried[4][1]])).toBe(1);
  });

  test("cannot have a frame cut into more datagrams than a kernel sends in one", () => {
    const { world, port } = openWorld();
    const whole = udp(gateway, 40_000, port, zeros(3_000));
    const rest = whole.subarray(vnetLength);
    const arrived = (gsoSize: number) => {
      feed([bytes(vnet({ gsoType: 5, flags: 1, gsoSize, checksumStart: 34 }), rest)]);
      let count = 0;
      while (native.readBytes(world, new Uint8Array(4_000)) > 0) count += 1;
      return count;
    };
    expect(arrived(1)).toBe(0);
    expect(arrived(23)).toBe(0);
    expect(guest.drops.get(DropReason.UdpSegments)).toBe(2);
    expect(arrived(24)).toBe(125);
    expect(arrived(1_000)).toBe(3);
    native.close(world);
  });

  test("in frames of every length", () => {
    for (const [, whole] of carried) {
      const padded = bytes(whole, zeros(65_507 - whole.length));
      const lengths = Array.from({ length: 2_000 }, (_, i) => i + 1);
      const long = Array.from({ length: 60 }, (_, i) => 65_507 - 1_000 * i);
      feed([...lengths, ...long].map((length) => padded.subarray(0, length)));
    }
    expect(feed([carried[4][1]])).toBe(1);
  });
});

test("frames of 0 to 66,048 bytes, of everything at once", () => {
  const stack = new Stack({
    mtu: 65_521,
    offload: true,
    mac: 0x5255_0a00_0202,
    memoryBudget: 8 << 20,
    seed: new Uint32Array([1, 2]),
    transmit: () => 0,
  });
  const parsed = new Frame(stack.bytes);
  const caches = createAddressCaches();
  const heads = [ethernet.ipv4, ethernet.ipv6, ethernet.arp, 0x8100, 0].map((type) =>
    frame(type, [], { to: gatewayMac }),
  );
  const verdicts = new Set<number>();
  for (let length = 0; length <= stack.bufferCapacity; length += 1) {
    const { buffer } = stack;
    // The byte of version, type and lengths changes with the length.
    stack.bytes.fill(length & 0xff, buffer, buffer + Math.min(length + 64, stack.bufferCapacity));
    stack.bytes.set(heads[length % heads.length].subarray(0, length), buffer);
    if (length > 24) stack.bytes[buffer + 24] = length % 2 === 0 ? 0x45 : 0x60;
    verdicts.add(stack.input(length));
    if (length < stack.headroom) continue;
    verdicts.add(parseFrame(parsed, buffer + stack.headroom, length - stack.headroom, caches));
  }
  expect(stack.takeEvents()).toBe(0);
  expect(verdicts.size).toBeGreaterThan(5);
});
