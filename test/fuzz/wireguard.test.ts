import fc from "fast-check";
import { expect, test } from "vitest";
import { readU32le, writeU32le } from "../../src/wire/bytes.js";
import {
  CookieReply,
  Data,
  dataCounter,
  emitDataHeader,
  MessageType,
  messageType,
} from "../../src/wire/tunnel/wireguard.js";
import { CookieHolder } from "../../src/wireguard/cookies.js";
import { World } from "../wireguard/pair.js";
import { mutated } from "./mutation.js";
import { forAWhile, TIMEOUT } from "./time.js";

/** A world in which a has begun a handshake, and one message of each type. */
function seeds() {
  const world = new World();
  world.a.send(world.aToB, Buffer.alloc(64, 1), world.now);
  world.settle();
  const reply = new Uint8Array(CookieReply.Length);
  writeU32le(reply, 0, MessageType.CookieReply);
  return [...world.log.map(({ message }) => message), reply];
}

/** Where the message goes in memory, between other bytes. */
const AROUND = 13;

test("no message makes a device throw, or lets a packet through", { timeout: TIMEOUT }, () => {
  const world = new World();
  const { a, b } = world;
  // What a sender knows who may be anybody: our public key makes the first MAC right.
  const signer = new CookieHolder(b.device.publicKey);
  const property = fc.property(
    mutated(seeds()),
    fc.boolean(),
    fc.nat(3),
    (changed, signs, step) => {
      const message = Uint8Array.from(changed);
      const type = messageType(message, 0, message.length);
      const isSigned = type === MessageType.Initiation || type === MessageType.Response;
      if (signs && isSigned) signer.sign(message, 0);
      world.now += step * 300;
      const memory = new Uint8Array(message.length + 2 * AROUND).fill(0xa5);
      memory.set(message, AROUND);
      const { address } = a;
      b.device.onMessage(memory, AROUND, message.length, address, 9, world.now);
      b.take(message, a, world.now);
      b.device.run(world.now);
      expect(b.received).toEqual([]);
      expect(b.keys.size).toBe(0);
      expect(world.bToA.port).toBe(51_820);
    },
  );
  fc.assert(property, forAWhile);
  // It still makes sessions, once the load is over.
  world.now += 10_000;
  a.send(world.aToB, Buffer.alloc(32, 2), world.now);
  world.pass(20_000);
  expect(b.received).toEqual([Buffer.alloc(32, 2)]);
});

test("no message of a peer's that was changed on its way is taken", { timeout: TIMEOUT }, () => {
  const world = new World();
  const { a, b } = world;
  a.send(world.aToB, Buffer.alloc(32, 1), world.now);
  world.settle();
  const session = a.device.sessionFor(world.aToB, world.now);
  if (session === null) throw new Error("no session");
  const sealed = session.seal(Buffer.alloc(64, 3), world.now);
  const property = fc.property(mutated([sealed]), (changed) => {
    if (Buffer.compare(changed, sealed) === 0) return;
    expect(b.take(changed, a, world.now)).not.toBe(0);
  });
  fc.assert(property, forAWhile);
  expect(b.take(sealed, a, world.now)).toBe(0);
});

test("a header of a data message is read as it was written", { timeout: TIMEOUT }, () => {
  const receiver = fc.integer({ min: 0, max: 0xffff_ffff });
  const property = fc.property(receiver, fc.maxSafeNat(), (index, counter) => {
    const bytes = new Uint8Array(Data.LeastLength + 5);
    expect(emitDataHeader(bytes, 5, index, counter)).toBe(Data.Packet);
    expect(messageType(bytes, 5, Data.LeastLength)).toBe(MessageType.Data);
    expect(readU32le(bytes, 5 + Data.Receiver)).toBe(index);
    expect(dataCounter(bytes, 5)).toBe(counter);
    bytes[5 + Data.Counter + 6] |= 0x20;
    expect(dataCounter(bytes, 5)).toBeNull();
  });
  fc.assert(property, forAWhile);
});
