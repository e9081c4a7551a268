import { describe, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { FlowEvent } from "../../src/stack/stack.js";
import { addToSum, isIntact } from "../../src/wire/checksum.js";
import { type Endpoint, Netsim, type NetsimOptions } from "./netsim.js";
import { pattern } from "./pattern.js";

const VNET = 10;
const ETHERNET = 14;

/** Sends all of `bytes`; lets time pass while the window is closed or frames are lost. */
function send(net: Netsim, from: Endpoint, bytes: Buffer): void {
  let rounds = 0;
  for (let at = 0; at < bytes.length; ) {
    const taken = from.write(bytes.subarray(at));
    at += taken;
    net.settle();
    if (taken === 0) net.pass(100);
    rounds += 1;
    if (rounds > 100_000) throw new Error(`stuck at ${at} of ${bytes.length}`);
  }
}

function opened(options: Partial<NetsimOptions> = {}): Netsim {
  const net = new Netsim({ mtu: 1500, offload: true, ...options });
  net.connect();
  net.pass(10_000);
  expect(net.a.seen & FlowEvent.Open).toBeTruthy();
  expect(net.b.seen & FlowEvent.Open).toBeTruthy();
  return net;
}

describe.each([4, 6] as const)("IPv%i", (family) => {
  describe.each([true, false])("offload %s", (offload) => {
    test.each([
      ["nothing", () => false],
      ["every 7th frame", (n: number) => n % 7 === 6],
      ["runs of frames", (n: number) => n % 50 > 44],
    ])("all data arrives, both ways, when the wire loses %s", (_what, loses) => {
      const net = opened({ family, offload, loses });
      const [up, down] = [pattern(1_000_000), pattern(700_001)];
      send(net, net.a, up);
      send(net, net.b, down);
      net.pass(600_000);
      expect(net.b.data.equals(up)).toBe(true);
      expect(net.a.data.equals(down)).toBe(true);
    });
  });

  test("FIN from both ends closes the flow on both, and all memory is freed", () => {
    const net = opened({ family });
    const before = net.a.stack.statistics().memoryInUse;
    send(net, net.a, pattern(100_000));
    net.a.stack.finish(net.a.id);
    net.settle();
    expect(net.b.seen & FlowEvent.Fin).toBeTruthy();
    send(net, net.b, pattern(50_000));
    net.b.stack.finish(net.b.id);
    net.pass(10_000);
    expect(net.a.data.length).toBe(50_000);
    for (const end of [net.a, net.b]) {
      expect(end.seen & FlowEvent.Closed).toBeTruthy();
      end.stack.release(end.id);
      expect(end.stack.statistics().flows).toBe(0);
    }
    expect(net.a.stack.statistics().memoryInUse).toBeLessThanOrEqual(before);
  });

  test("a reset reaches the other side", () => {
    const net = opened({ family });
    net.a.stack.reset(net.a.id);
    net.settle();
    expect(net.b.seen & FlowEvent.Reset).toBeTruthy();
  });

  test("without offload every frame fits the MTU and has valid checksums", () => {
    const net = opened({ family, offload: false, mtu: 1400 });
    send(net, net.a, pattern(100_000));
    const header = family === 4 ? 20 : 40;
    for (const { frame } of net.wire) {
      expect(frame.length).toBeLessThanOrEqual(ETHERNET + 1400);
      if (family === 4) expect(isIntact(addToSum(0, frame, ETHERNET, 20))).toBe(true);
      const length = frame.length - ETHERNET - header;
      const addresses = frame.subarray(ETHERNET + (family === 4 ? 12 : 8), ETHERNET + header);
      const pseudo = addresses.reduce(
        (sum, byte, at) => sum + (at % 2 ? byte : byte << 8),
        6 + length,
      );
      expect(isIntact(addToSum(pseudo, frame, ETHERNET + header, length))).toBe(true);
    }
  });
});

test("data goes out in superframes that carry the guest's MSS, also in a retransmission", () => {
  let lose = -1;
  const net = opened({ loses: (n) => n === lose });
  send(net, net.a, pattern(200_000));
  net.settle();
  lose = net.wire.length;
  const written = net.a.write(pattern(60_000));
  net.pass(5_000);
  expect(net.b.data.length).toBe(200_000 + written);
  const large = net.wire.filter(({ frame }) => frame.length > 1600);
  const [lost] = large.filter((sent) => sent.lost);
  const sequence = VNET + ETHERNET + 20 + 4;
  const copies = large.filter(
    ({ frame }) =>
      Buffer.from(frame).readUInt32BE(sequence) === Buffer.from(lost.frame).readUInt32BE(sequence),
  );
  expect(copies.length).toBeGreaterThan(1);
  for (const { frame } of large) {
    expect(frame[1]).toBe(1); // VIRTIO_NET_HDR_GSO_TCPV4
    expect(Buffer.from(frame).readUInt16LE(4)).toBe(1460);
  }
});

test("a host that stops reading closes the window, and loses nothing when it reads again", () => {
  const net = opened();
  const bytes = pattern(3_000_000);
  net.b.reading = false;
  let at = 0;
  for (let quiet = 0; quiet < 20; ) {
    const taken = net.a.write(bytes.subarray(at));
    at += taken;
    net.pass(100);
    quiet = taken === 0 ? quiet + 1 : 0;
  }
  expect(at).toBeLessThan(bytes.length);
  net.pass(30_000); // persist probes come and go
  net.b.reading = true;
  net.b.read();
  net.settle();
  send(net, net.a, bytes.subarray(at));
  net.pass(10_000);
  expect(net.b.data.equals(bytes)).toBe(true);
});

test("an idle connection needs no timer", () => {
  const net = opened();
  send(net, net.a, pattern(1000));
  net.pass(5_000);
  expect(net.a.stack.tick()).toBe(false);
  expect(net.b.stack.tick()).toBe(false);
  expect(net.a.stack.hasFlows).toBe(true);
});

test("the Ethernet addresses of guest and gateway are those of frames and of guestMac()", () => {
  const net = new Netsim({ mtu: 1500, offload: true });
  const mac = 0xfe_dc_ba_98_76_54;
  const [guest, peer] = ["198.51.100.100", "203.0.113.7"].map((text) => Address.parse(text));
  if (!guest || !peer) throw new Error("no address");
  const id = net.a.stack.connect({ guest, guestPort: 80, peer, peerPort: 40_000 }, mac);
  expect(net.a.stack.guestMac(id)).toBe(mac);
  const [syn] = net.a.outbox;
  expect(Buffer.from(syn).toString("hex", VNET, VNET + 12)).toBe("fedcba987654525500000002");
  net.settle();
  expect(net.b.stack.guestMac(net.b.id)).toBe(0x525500000002);
});

test("a refused SYN is answered by RST", () => {
  const net = new Netsim({ mtu: 1500, offload: true });
  const { b } = net;
  b.stack.accept = (id) => {
    b.stack.refuse(id);
    b.stack.release(id);
    return false;
  };
  net.connect();
  expect(net.a.seen & FlowEvent.Reset).toBeTruthy();
  expect(b.stack.statistics().flows).toBe(0);
});

test("unanswered SYNs are repeated, then given up, and the flow is reset", () => {
  const net = new Netsim({ mtu: 1500, offload: true, loses: () => true });
  net.connect();
  net.pass(200_000);
  const syns = net.wire.filter(({ from }) => from === "a").length;
  expect(syns).toBeGreaterThan(3);
  expect(net.a.seen & FlowEvent.Reset).toBeTruthy();
});

test("200 stalled flows with tiny segments stay within the budget and do not slow another flow", () => {
  const budget = 16 * 1024 * 1024;
  const net = new Netsim({ mtu: 1500, offload: true, memoryBudget: budget });
  const { a, b } = net;
  b.reading = false;
  const flows: number[] = [];
  for (let index = 0; index < 200; index += 1) {
    net.connect(80, 10_000 + index);
    flows.push(a.id);
  }
  for (let round = 0; round < 400; round += 1) {
    for (const id of flows) {
      a.id = id;
      a.write(Buffer.of(round));
    }
    net.settle();
  }
  expect(b.stack.statistics().memoryInUse).toBeLessThanOrEqual(budget);
  const failuresBefore = b.stack.statistics().allocationFailures;
  b.reading = true;
  net.connect(80, 9_999);
  const bytes = pattern(2_000_000);
  send(net, a, bytes);
  net.pass(5_000);
  expect(b.data.equals(bytes)).toBe(true);
  expect(b.stack.statistics().allocationFailures).toBe(failuresBefore);
});

test("flows whose hosts stop all at once have nothing dropped, and do not slow another flow", () => {
  const budget = 16 * 1024 * 1024;
  const net = new Netsim({ mtu: 1500, offload: true, memoryBudget: budget });
  const { a, b } = net;
  const flows = Array.from({ length: 200 }, (_, index) => {
    net.connect(80, 10_000 + index);
    return [a.id, b.id] as const;
  });
  const writeAll = (bytes: Buffer) => {
    let taken = 0;
    for (const [id] of flows) {
      a.id = id;
      taken += a.write(bytes);
      net.settle();
    }
    return taken;
  };
  for (let round = 0; round < 40; round += 1) {
    writeAll(pattern(65_000));
    if (round % 10 === 9) net.pass(100);
  }
  for (const [, id] of flows) b.stalled.add(id);
  while (writeAll(pattern(65_000)) > 0) {}
  const { memoryInUse, overQuota } = b.stack.statistics();
  expect(overQuota).toBe(0);
  expect(memoryInUse).toBeLessThanOrEqual((budget * 3) / 4);

  b.received.length = 0;
  net.connect(80, 9_999);
  const bytes = pattern(8_000_000);
  send(net, a, bytes);
  expect(b.data.equals(bytes)).toBe(true);
});
