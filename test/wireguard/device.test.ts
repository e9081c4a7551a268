import { describe, expect, it } from "vitest";
import { DropReason } from "../../src/base/drop.js";
import { REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES } from "../../src/wireguard/limits.js";
import { World } from "./pair.js";

const packet = (text: string) => Buffer.from(text.padEnd(32));

/** A world with a session that a began. */
function talking(keepalive?: number): World {
  const world = new World(keepalive);
  world.a.send(world.aToB, packet("first"), world.now);
  world.settle();
  world.takeLog();
  return world;
}

describe("a handshake", () => {
  it("makes a session, by which the packet that waited goes first", () => {
    const world = new World();
    world.a.send(world.aToB, packet("first"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["a1", "b2", "a4"]);
    expect(world.b.received).toEqual([packet("first")]);
    world.b.send(world.bToA, packet("second"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["b4"]);
    expect(world.a.received).toEqual([packet("second")]);
  });

  it("without a packet that waits is confirmed by a keepalive", () => {
    const world = new World();
    world.a.device.sessionFor(world.aToB, world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["a1", "b2", "a4"]);
    expect(world.b.device.sessionFor(world.bToA, world.now)).not.toBeNull();
  });

  it("of both ends at once comes about, and both can send", () => {
    const world = new World();
    world.a.send(world.aToB, packet("from a"), world.now);
    world.b.send(world.bToA, packet("from b"), world.now);
    world.a.device.run(world.now);
    world.b.device.run(world.now);
    world.settle();
    expect(world.a.received).toEqual([packet("from b")]);
    expect(world.b.received).toEqual([packet("from a")]);
    for (const [end, peer] of [
      [world.a, world.aToB],
      [world.b, world.bToA],
    ] as const) {
      end.send(peer, packet("more"), world.now);
    }
    world.settle();
    expect([world.a.received.length, world.b.received.length]).toEqual([2, 2]);
  });

  it("keeps the last 16 packets, and counts the others", () => {
    const world = new World();
    for (let i = 0; i < 20; i += 1) world.a.send(world.aToB, packet(`${i}`), world.now);
    world.settle();
    expect(world.b.received).toEqual(Array.from({ length: 16 }, (_, i) => packet(`${i + 4}`)));
    const peer = world.aToB;
    const dropped = Array.from({ length: 17 }, () =>
      world.a.device.enqueue(peer, packet("x"), 0, 32, 1420, world.now),
    );
    expect(dropped).toEqual([...Array(16).fill(0), DropReason.TunnelUnreachable]);
  });

  it("is tried every 5 s and a little more, for 90 s, and then the packets are dropped", () => {
    const world = new World();
    world.arrives = () => false;
    world.a.send(world.aToB, packet("lost"), world.now);
    const times: number[] = [];
    for (let ms = 0; ms < 200_000; ms += 10) {
      world.pass(10);
      if (world.takeLog().length > 0) times.push(world.now - 1_000);
    }
    const gaps = times.slice(1).map((at, i) => at - times[i]);
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(4_990);
      expect(gap).toBeLessThanOrEqual(5_354);
    }
    expect(new Set(gaps).size).toBeGreaterThan(1);
    expect(times.length).toBeGreaterThanOrEqual(17);
    expect(times.length).toBeLessThanOrEqual(18);
    expect(world.a.dropped).toEqual([DropReason.TunnelUnreachable]);
    expect(world.a.device.nextAt).toBe(Number.POSITIVE_INFINITY);
  });

  it("goes on beyond 90 s while packets come", () => {
    const world = new World();
    world.arrives = () => false;
    for (let s = 0; s < 150; s += 1) {
      world.a.send(world.aToB, packet("lost"), world.now);
      world.pass(1_000);
    }
    expect(world.takeLog().length).toBeGreaterThanOrEqual(28);
    world.arrives = () => true;
    world.pass(6_000);
    expect(world.b.received).toHaveLength(16);
  });

  it("is not begun without an address, and packets are refused", () => {
    const world = new World();
    const peer = world.a.device.addPeer(Buffer.alloc(32, 9), Number.POSITIVE_INFINITY);
    if (peer === null) throw new Error("refused");
    expect(world.a.device.sessionFor(peer, world.now)).toBeNull();
    const reason = world.a.device.enqueue(peer, packet("x"), 0, 32, 1420, world.now);
    expect(reason).toBe(DropReason.TunnelUnreachable);
    world.pass(10_000);
    expect(world.takeLog()).toEqual([]);
  });

  it("fails, and leaves nothing, when the addon has no room for a key", () => {
    const world = new World();
    world.b.room = 1;
    world.a.device.sessionFor(world.aToB, world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["a1"]);
    expect(world.b.keys.size).toBe(0);
    world.b.room = 10;
    world.pass(6_000);
    expect(world.takeLog()).toEqual(["a1", "b2", "a4"]);
  });
});

describe("what is refused", () => {
  it("an initiation that was there before, after which the session lives on", () => {
    const world = talking();
    world.pass(121_000);
    world.a.send(world.aToB, packet("old"), world.now);
    world.a.device.run(world.now);
    const initiation = world.log.find(({ type }) => type === 1)?.message;
    if (initiation === undefined) throw new Error("no initiation");
    expect(world.b.take(initiation, world.a, world.now)).toBe(0);
    expect(world.b.take(initiation, world.a, world.now)).toBe(DropReason.TunnelReplayed);
    world.settle();
    world.b.send(world.bToA, packet("fine"), world.now);
    world.settle();
    expect(world.a.received.at(-1)).toEqual(packet("fine"));
  });

  it("an initiation of a stranger, one to somebody else, a response to nothing", () => {
    const world = new World();
    const other = new World();
    other.a.device.sessionFor(other.aToB, other.now);
    other.settle();
    const [initiation, response] = other.log.map(({ message }) => message);
    expect(world.b.take(initiation, world.a, world.now)).toBe(DropReason.TunnelUnknownHost);
    expect(world.b.take(response, world.a, world.now)).toBe(DropReason.TunnelUnknownHost);
    other.b.device.removePeer(other.bToA);
    other.log.length = 0;
    other.pass(130_000);
    other.a.send(other.aToB, packet("x"), other.now);
    other.a.device.run(other.now);
    const late = other.log.at(-1)?.message ?? new Uint8Array(0);
    expect(other.b.take(late, other.a, other.now)).toBe(DropReason.TunnelUnknownHost);
  });

  it("a peer's key that is ours, there already, or of low order", () => {
    const { a, b } = new World();
    const never = Number.POSITIVE_INFINITY;
    expect(a.device.addPeer(a.device.publicKey, never)).toBeNull();
    expect(a.device.addPeer(b.device.publicKey, never)).toBeNull();
    expect(a.device.addPeer(new Uint8Array(32), never)).toBeNull();
    expect(a.device.addPeer(Buffer.alloc(32, 1).fill(0, 1), never)).toBeNull();
  });

  it("any message with one bit changed: it has no effect", () => {
    const world = new World();
    const flipped: string[] = [];
    world.arrives = ({ from, message, type }) => {
      const to = from === world.a ? world.b : world.a;
      for (let bit = 0; bit < message.length * 8; bit += 1) {
        // The second MAC is not looked at without load.
        if (type < 3 && bit >= (message.length - 16) * 8) break;
        const changed = Uint8Array.from(message);
        changed[bit >> 3] ^= 1 << (bit & 7);
        if (to.take(changed, from, world.now) === 0) flipped.push(`${type} ${bit}`);
      }
      return true;
    };
    world.a.send(world.aToB, packet("first"), world.now);
    world.settle();
    expect(flipped).toEqual([]);
    expect(world.takeLog()).toEqual(["a1", "b2", "a4"]);
    expect(world.b.received).toEqual([packet("first")]);
  });

  it("data that was there before", () => {
    const world = talking();
    world.a.send(world.aToB, packet("once"), world.now);
    const { message } = world.log[0];
    world.settle();
    expect(world.b.take(message, world.a, world.now)).toBe("forged");
    expect(world.b.received).toEqual([packet("first"), packet("once")]);
  });
});

describe("keys", () => {
  it("are renewed by their initiator when they are 120 s old, and it sends", () => {
    const world = talking();
    world.pass(119_000);
    world.takeLog();
    world.a.send(world.aToB, packet("young"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["a4"]);
    world.pass(1_000);
    world.b.send(world.bToA, packet("not by its responder"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["b4"]);
    world.a.send(world.aToB, packet("old"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["a4", "a1", "b2", "a4"]);
  });

  it("are renewed by their initiator when they are 165 s old, and it receives", () => {
    const world = talking();
    world.pass(164_000);
    world.takeLog();
    world.b.send(world.bToA, packet("x"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["b4"]);
    world.pass(1_000);
    world.b.send(world.bToA, packet("x"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["b4", "a1", "b2", "a4"]);
  });

  it("are renewed after so many messages, by whoever sends", () => {
    const world = talking();
    const session = world.b.device.sessionFor(world.bToA, world.now);
    session?.reserve(REKEY_AFTER_MESSAGES - 1, world.now);
    world.pass(5_000);
    expect(world.takeLog()).toEqual([]);
    session?.reserve(1, world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["b1", "a2", "b4"]);
  });

  it("are not used beyond their last message, nor when they are 180 s old", () => {
    const world = talking();
    world.arrives = ({ type }) => type === 4;
    const session = world.a.device.sessionFor(world.aToB, world.now);
    session?.reserve(REJECT_AFTER_MESSAGES - 1 - 1, world.now);
    expect(world.a.device.sessionFor(world.aToB, world.now)).toBe(session);
    session?.reserve(1, world.now);
    expect(world.a.device.sessionFor(world.aToB, world.now)).toBeNull();
    expect(session?.accept(REJECT_AFTER_MESSAGES)).toBe(false);

    const back = world.b.device.sessionFor(world.bToA, world.now);
    if (back === null) throw new Error("no session");
    world.pass(179_000);
    const last = back.seal(packet("last"), world.now);
    expect(world.a.take(last, world.b, world.now)).toBe(0);
    const late = back.seal(packet("late"), world.now);
    world.pass(1_000);
    expect(world.a.take(late, world.b, world.now)).toBe("unknown");
    expect(world.b.device.sessionFor(world.bToA, world.now)).toBeNull();
  });

  it("are forgotten after 9 minutes without a new session", () => {
    const world = talking();
    world.arrives = () => false;
    world.pass(539_000);
    expect(world.a.keys.size + world.b.keys.size).toBe(4);
    world.pass(2_000);
    expect(world.a.keys.size + world.b.keys.size).toBe(0);
    expect(world.a.device.nextAt).toBe(Number.POSITIVE_INFINITY);
  });

  it("of the session before are still good for what is under way, and at most three sessions are there", () => {
    const world = talking();
    const before = world.b.device.sessionFor(world.bToA, world.now);
    if (before === null) throw new Error("no session");
    for (let i = 0; i < 5; i += 1) {
      world.pass(121_000);
      const late = world.b.device.sessionFor(world.bToA, world.now);
      world.a.send(world.aToB, packet("renews"), world.now);
      world.settle();
      const sealed = late?.seal(packet(`late ${i}`), world.now);
      if (sealed !== undefined) expect(world.a.take(sealed, world.b, world.now)).toBe(0);
      expect(world.a.keys.size).toBeLessThanOrEqual(6);
      expect(world.b.keys.size).toBeLessThanOrEqual(6);
    }
    expect(world.a.received.length).toBeGreaterThan(0);
  });

  it("are gone with their peer", () => {
    const world = talking();
    world.a.device.removePeer(world.aToB);
    expect(world.a.keys.size).toBe(0);
    world.b.send(world.bToA, packet("x"), world.now);
    expect(world.a.take(world.log[0].message, world.b, world.now)).toBe("unknown");
  });
});

describe("keepalives", () => {
  it("answer data after 10 s of silence, once", () => {
    const world = talking();
    world.pass(9_000);
    expect(world.takeLog()).toEqual([]);
    world.pass(2_000);
    expect(world.takeLog()).toEqual(["b4"]);
    world.pass(100_000);
    expect(world.takeLog()).toEqual([]);
  });

  it("are not sent when there is an answer", () => {
    const world = talking();
    world.pass(5_000);
    world.b.send(world.bToA, packet("answer"), world.now);
    world.pass(9_000);
    expect(world.takeLog()).toEqual(["b4"]);
  });

  it("that do not come make the sender begin a handshake after 15 s", () => {
    const world = talking();
    world.arrives = () => false;
    world.a.send(world.aToB, packet("lost"), world.now);
    world.pass(14_000);
    expect(world.takeLog().filter((each) => each === "a1")).toEqual([]);
    world.pass(2_000);
    expect(world.takeLog()).toContain("a1");
  });

  it("keep a tunnel open, from its beginning on, as often as configured", () => {
    const world = new World(25_000);
    world.settle();
    expect(world.takeLog()).toContain("b2");
    for (let minutes = 0; minutes < 10; minutes += 1) {
      world.pass(60_000);
      const sent = world.takeLog();
      expect(sent.length).toBeGreaterThanOrEqual(2);
      expect(sent.length).toBeLessThanOrEqual(12);
    }
    expect(world.a.device.sessionFor(world.aToB, world.now)).not.toBeNull();
  });
});

describe("a peer that moves", () => {
  it("is where its last authentic message came from", () => {
    const world = talking();
    const elsewhere = new World().b;
    const sealed = world.a.device
      .sessionFor(world.aToB, world.now)
      ?.seal(packet("moved"), world.now);
    if (sealed === undefined) throw new Error("no session");
    expect(world.b.take(sealed, elsewhere, world.now, 4_000)).toBe(0);
    expect(`${world.bToA.address} ${world.bToA.port}`).toBe("192.0.2.2 4000");
    const forged = Uint8Array.from(sealed);
    forged[20] ^= 1;
    expect(world.b.take(forged, world.a, world.now, 5_000)).toBe("forged");
    expect(world.bToA.port).toBe(4_000);
  });
});

describe("a peer that moved away, and does not answer there", () => {
  it("is looked for where it lives from the second initiation on", () => {
    const world = new World();
    const home = world.b.address;
    world.aToB.settle(home, 51_820);
    world.aToB.moveTo(world.a.address, 9);
    world.arrives = () => world.aToB.port === 51_820;
    world.a.send(world.aToB, packet("x"), world.now);
    world.pass(4_000);
    expect(world.aToB.port).toBe(9);
    world.pass(2_000);
    expect(world.takeLog()).toEqual(["a1", "a1", "b2", "a4"]);
    expect(world.b.received).toEqual([packet("x")]);
  });
});

describe("a wall clock that jumps back", () => {
  it("does not stop handshakes", () => {
    const world = talking();
    for (let i = 0; i < 3; i += 1) {
      world.epoch -= 3_600_000;
      world.pass(181_000);
      world.takeLog();
      world.a.send(world.aToB, packet("x"), world.now);
      world.settle();
      expect(world.takeLog()).toEqual(["a1", "b2", "a4"]);
    }
  });

  it("under a restart has the other end begin handshakes, as it takes none of ours", () => {
    const world = talking();
    const label = Buffer.from(world.bToA.lastTimestamp);
    label.writeUInt32BE(label.readUInt32BE(4) + 3_600, 4);
    world.bToA.lastTimestamp = label;
    world.pass(181_000);
    world.takeLog();
    world.a.send(world.aToB, packet("x"), world.now);
    world.settle();
    expect(world.takeLog()).toEqual(["a1", "b1", "a2", "b4", "a4"]);
    expect(world.b.received.at(-1)).toEqual(packet("x"));
  });

  it("makes a replay of an initiation begin no more than one handshake in 5 s", () => {
    const world = talking();
    world.pass(181_000);
    world.a.send(world.aToB, packet("x"), world.now);
    world.settle();
    const [{ message }] = world.log.filter(({ type }) => type === 1);
    world.pass(200_000);
    world.takeLog();
    world.arrives = () => false;
    for (let s = 0; s < 50; s += 1) {
      expect(world.b.take(message, world.a, world.now)).toBe(DropReason.TunnelReplayed);
      world.pass(200);
    }
    expect(world.takeLog().length).toBeLessThanOrEqual(2);
  });
});
