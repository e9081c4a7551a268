import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { Address } from "../src/base/address.js";
import { Loop } from "../src/loop/loop.js";
import { Switch, type SwitchPort } from "../src/network/switch.js";
import { native } from "../src/sys/native.js";
import { writeU32 } from "../src/wire/bytes.js";
import { EtherType, emitEthernet } from "../src/wire/ethernet.js";
import { IPV4_HEADER_LENGTH } from "../src/wire/ip.js";
import { VNET_HEADER_LENGTH } from "../src/wire/vnet.js";
import { makeLink } from "./guest/link.js";
import { config, GATEWAY_MAC } from "./services/frames.js";

const FLOOD = 200;
const FRAME = VNET_HEADER_LENGTH + 14 + IPV4_HEADER_LENGTH;

/** The smallest frame that a member may send to another. */
function frameBetween(from: SwitchPort, to: SwitchPort): Uint8Array {
  const frame = new Uint8Array(FRAME);
  emitEthernet(frame, VNET_HEADER_LENGTH, to.identity.mac, from.identity.mac, EtherType.Ipv4);
  const ip = FRAME - IPV4_HEADER_LENGTH;
  frame[ip] = 0x45;
  writeU32(frame, ip + 12, from.identity.addresses[0].w3);
  return frame;
}

interface Member {
  readonly tap: number;
  readonly far: number;
  readonly port: SwitchPort;
}

/** A network of one member that floods, one that sends little, and one that gets the frames of both. */
class Network {
  readonly flooder: Member;
  readonly other: Member;
  readonly sink: Member;
  readonly #loop = new Loop();
  readonly #frame = new Uint8Array(FRAME);

  constructor() {
    const network = new Switch(GATEWAY_MAC);
    const [flooder, other, sink] = [2, 3, 4].map((number): Member => {
      const addresses = [Address.ofIpv4Word(0x0a00_0200 + number)];
      const port = network.addPort({ mac: 0x0242_0a00_0200 + number, addresses });
      return { ...makeLink(), port };
    });
    this.flooder = flooder;
    this.other = other;
    this.sink = sink;
  }

  send(from: Member, count = 1): void {
    const frame = frameBetween(from.port, this.sink.port);
    for (let sent = 0; sent < count; sent += 1) native.writeBytes(from.far, frame);
  }

  start(): void {
    for (const { tap, port } of [this.flooder, this.other, this.sink]) {
      this.#loop.addGuest({ fd: tap, vnetHeader: true }, config(), () => undefined, null, port);
    }
    this.#loop.start();
  }

  /** @returns the sender of a frame that has arrived; null: none has */
  received(): Member | null {
    if (native.readBytes(this.sink.far, this.#frame) <= 0) return null;
    return this.#frame[FRAME - 5] === 2 ? this.flooder : this.other;
  }

  [Symbol.dispose](): void {
    this.#loop.stop();
    for (const { far } of [this.flooder, this.other, this.sink]) native.close(far);
  }
}

afterEach(() => vi.restoreAllMocks());

test("a frame does not wait for all frames that another member has sent before", async () => {
  using network = new Network();
  network.send(network.flooder, FLOOD);
  network.send(network.other);
  network.start();
  const senders: Member[] = [];
  while (senders.length <= FLOOD) {
    const sender = network.received();
    if (sender === null) await delay(1);
    else senders.push(sender);
  }
  expect(senders.filter((sender) => sender === network.flooder)).toHaveLength(FLOOD);
  expect(senders.indexOf(network.other)).toBeLessThan(32);
});

/** Time advances by 10 µs for each frame read from one member, and by nothing else. */
class ClockByWork {
  /** ms */
  now = 0;

  constructor({ tap }: Member) {
    const { read, loopStart } = native;
    vi.spyOn(process, "uptime").mockImplementation(() => this.now / 1_000);
    vi.spyOn(native, "read").mockImplementation((fd, ...place) => {
      const length = read(fd, ...place);
      if (fd === tap && length > 0) this.now += 0.01;
      return length;
    });
    vi.spyOn(native, "loopStart").mockImplementation((onWake, events) =>
      loopStart((count) => onWake(count, Math.floor(this.now)), events),
    );
  }
}

test("a flooding member pauses while another sends: its frames are delayed, the other's are not", async () => {
  using network = new Network();
  const { flooder, other } = network;
  const clock = new ClockByWork(flooder);
  network.send(flooder, FLOOD);
  network.send(other);
  network.start();
  const passed = { flood: 0, other: 0 };
  /** Until this many of the other's frames have passed, one in flight at a time. */
  const exchange = async (most: number) => {
    while (passed.other < most) {
      for (let sender = network.received(); sender !== null; sender = network.received()) {
        if (sender === other) passed.other += 1;
        else passed.flood += 1;
        // The flood does not end.
        network.send(sender);
      }
      await new Promise(setImmediate);
    }
  };
  await exchange(200);
  // Some batches, before it was known that another sends.
  expect(passed.flood).toBeLessThan(64);
  const before = passed.flood;
  clock.now += 1;
  await exchange(400);
  // A pause is over: one more batch, and the next pause.
  expect(passed.flood).toBeGreaterThan(before);
  expect(passed.flood).toBeLessThan(before + 32);
});
