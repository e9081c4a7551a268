import { describe, expect, it } from "vitest";
import { DropReason } from "../../src/base/drop.js";
import { randomBytes } from "../../src/sys/random.js";
import { CookieReply, emitType, Initiation, MessageType } from "../../src/wire/tunnel/wireguard.js";
import { CookieHolder } from "../../src/wireguard/cookies.js";
import { Load } from "../../src/wireguard/load.js";
import { parse, World } from "./pair.js";

/** Whether an initiation has a second MAC. */
const hasCookie = (message: Uint8Array) =>
  message.subarray(Initiation.Mac2).some((byte) => byte !== 0);

describe("under load", () => {
  /** Before each initiation of a, b gets more handshakes than it likes, of somebody who knows its public key. */
  function loaded(): World {
    const world = new World();
    const message = randomBytes(Initiation.Length);
    emitType(message, 0, MessageType.Initiation);
    message.fill(0, Initiation.Mac2);
    new CookieHolder(world.b.device.publicKey).sign(message, 0);
    world.arrives = ({ from, type }) => {
      if (from !== world.a || type !== MessageType.Initiation) return true;
      for (let i = 0; i < 60; i += 1) world.b.take(message, world.a, world.now);
      return true;
    };
    world.a.device.sessionFor(world.aToB, world.now);
    return world;
  }

  it("an initiation is answered with a cookie, and the next one that has it with a response", () => {
    const world = loaded();
    world.pass(4_000);
    const [first] = world.log.filter(({ type }) => type === MessageType.Initiation);
    expect(hasCookie(first.message)).toBe(false);
    expect(world.takeLog()).toContain("b3");
    expect(world.a.device.sessionFor(world.aToB, world.now)).toBeNull();
    world.pass(6_000);
    const [second] = world.log.filter(({ type }) => type === MessageType.Initiation);
    expect(hasCookie(second.message)).toBe(true);
    expect(world.takeLog()).toContain("b2");
    expect(world.a.device.sessionFor(world.aToB, world.now)).not.toBeNull();
  });

  /** A cookie was given. From now on initiations of a end here. */
  function withCookie() {
    const world = loaded();
    world.pass(4_000);
    const flood = world.arrives;
    const kept: Uint8Array[] = [];
    world.arrives = (sent) => {
      if (sent.type !== MessageType.Initiation || sent.from !== world.a) return true;
      kept.push(sent.message);
      return false;
    };
    const load = () => flood({ from: world.a, message: kept[0], type: MessageType.Initiation });
    return { world, kept, load };
  }

  it("a cookie is good at its address and port alone", () => {
    const { world, kept, load } = withCookie();
    world.pass(6_000);
    load();
    expect(world.b.take(kept[0], world.a, world.now, 4_000)).toBe(DropReason.LimitRate);
    expect(world.b.take(kept[0], world.b, world.now)).toBe(DropReason.LimitRate);
    expect(world.b.take(kept[0], world.a, world.now)).toBe(0);
  });

  it("a cookie is used for two minutes", () => {
    const { world, kept } = withCookie();
    for (let s = 0; s < 130; s += 1) {
      world.pass(1_000);
      world.a.send(world.aToB, Buffer.alloc(16), world.now);
    }
    expect(kept.slice(0, 20).every(hasCookie)).toBe(true);
    expect(kept.slice(-1).some(hasCookie)).toBe(false);
  });

  it("a cookie that nobody asked for is not taken, nor is one twice", () => {
    const world = loaded();
    world.pass(6_000);
    const replies = world.log.filter(({ type }) => type === MessageType.CookieReply);
    for (const { message } of replies) {
      expect(world.a.take(message, world.b, world.now)).not.toBe(0);
    }
    const stray = Uint8Array.from(replies[0].message);
    stray[CookieReply.Receiver] ^= 1;
    expect(world.a.take(stray, world.b, world.now)).toBe(DropReason.TunnelUnknownHost);
  });
});

describe("Load", () => {
  it("asks for nothing while messages are few", () => {
    const load = new Load();
    for (let s = 0; s < 100; s += 1) {
      for (let i = 0; i < 25; i += 1) expect(load.arrive(s * 1_000)).toBe("work");
    }
  });

  it("asks for a cookie when they are many, and for a second after that", () => {
    const load = new Load();
    const asked = Array.from({ length: 40 }, () => load.arrive(5_000));
    expect(asked).toEqual([...Array(32).fill("work"), ...Array(8).fill("prove")]);
    expect(load.arrive(5_900)).toBe("prove");
    expect(load.arrive(6_000)).toBe("work");
  });

  it("lets one address have 20 in a second, a /64 being one", () => {
    const load = new Load();
    const count = (address: string, from: number) =>
      Array.from({ length: 30 }, (_, i) => load.admits(parse(address), from + i)).filter(Boolean)
        .length;
    // One after the other, as only 16 are worked on at once.
    load.admits(parse("192.0.2.1"), 0);
    const spread = Array.from({ length: 30 }, (_, i) => load.admits(parse("192.0.2.9"), i * 20));
    expect(spread.filter(Boolean)).toHaveLength(20);
    expect(count("192.0.2.10", 700)).toBeGreaterThan(0);
    const network = Array.from({ length: 60 }, (_, i) =>
      load.admits(parse(`2001:db8::${i}`), 2_000 + i * 10),
    );
    expect(network.filter(Boolean)).toHaveLength(20);
    expect(load.admits(parse("2001:db8:0:1::1"), 2_700)).toBe(true);
  });

  it("counts a bounded number of addresses", () => {
    const load = new Load();
    let admitted = 0;
    for (let i = 0; i < 10_000; i += 1) {
      if (
        load.admits(
          parse(`2001:db8:${(i >> 8).toString(16)}:${(i & 0xff).toString(16)}::`),
          i / 100,
        )
      ) {
        admitted += 1;
      }
    }
    expect(admitted).toBeLessThanOrEqual(1_024);
    expect(admitted).toBeGreaterThan(0);
  });

  it("works on 16 messages at once, and on 400 a second", () => {
    const load = new Load();
    const admitted = (from: number, now: number) => load.admits(parse(`192.0.2.${from}`), now);
    expect(Array.from({ length: 100 }, (_, i) => admitted(i, 0)).filter(Boolean)).toHaveLength(16);
    let later = 0;
    for (let ms = 1; ms <= 1_000; ms += 1) {
      for (let i = 0; i < 5; i += 1) if (admitted((ms * 5 + i) % 250, ms)) later += 1;
    }
    expect(later).toBe(400);
  });

  it("gives 1,000 cookies a second", () => {
    const load = new Load();
    const given = Array.from({ length: 5_000 }, (_, i) => load.admitsReply(i / 5)).filter(Boolean);
    expect(given.length).toBeGreaterThan(1_000);
    expect(given.length).toBeLessThanOrEqual(1_100);
  });
});
