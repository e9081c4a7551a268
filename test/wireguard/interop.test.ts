import { afterAll, beforeAll, expect, it } from "vitest";
import { keyPairOf, newKeyPair } from "../../src/sys/crypto/x25519.js";
import { randomBytes } from "../../src/sys/random.js";
import { addToSum, complement } from "../../src/wire/checksum.js";
import { emitType, Initiation, MessageType } from "../../src/wire/tunnel/wireguard.js";
import { CookieHolder } from "../../src/wireguard/cookies.js";
import { REKEY_AFTER_MESSAGES } from "../../src/wireguard/limits.js";
import { TestNamespace } from "../wire/netns.js";
import { LOOPBACK_ADDRESS, TestEndpoint } from "./endpoint.js";
import { WireGuardGo } from "./wireguard-go.js";

const OUR_PORT = 40_000;
const THEIR_PORT = 40_001;
const OURS = [10, 9, 0, 1] as const;
const THEIRS = [10, 9, 0, 2] as const;

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** An ICMP echo request from us, padded for the tunnel. */
function echo(sequence: number): Buffer {
  const packet = Buffer.alloc(64);
  packet.set([0x45, 0, 0, 64, 0, 0, 0, 0, 64, 1, 0, 0, ...OURS, ...THEIRS]);
  packet.writeUInt16BE(complement(addToSum(0, packet, 0, 20)), 10);
  packet.set([8, 0, 0, 0, 0x12, 0x34, 0, sequence], 20);
  packet.writeUInt16BE(complement(addToSum(0, packet, 20, 44)), 22);
  return packet;
}

/** The answer to an echo request; null for another packet. */
function answered(request: Buffer): Buffer | null {
  if (request[9] !== 1 || request[20] !== 8) return null;
  const packet = Buffer.from(request);
  const [source, destination] = [Buffer.from(packet.subarray(12, 16)), packet.subarray(16, 20)];
  packet.set(destination, 12);
  packet.set(source, 16);
  packet[20] = 0;
  packet.writeUInt16BE(0, 22);
  const length = packet.readUInt16BE(2);
  packet.writeUInt16BE(complement(addToSum(0, packet, 20, length - 20)), 22);
  return packet;
}

/** Sequence numbers of the echo replies that came. */
const replies = ({ packets }: TestEndpoint) =>
  packets.filter((packet) => packet[9] === 1 && packet[20] === 0).map((packet) => packet[27]);

const theirSecret = randomBytes(32);
let namespace: TestNamespace;
let theirs: WireGuardGo;
let ours: TestEndpoint;

const configuration = () => `
  [Interface]
  PrivateKey = ${base64(theirSecret)}
  ListenPort = ${THEIR_PORT}
  [Peer]
  PublicKey = ${base64(ours.device.publicKey)}
  AllowedIPs = 10.9.0.1/32
  Endpoint = 127.0.0.1:${ours.port}
`;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  theirs = await WireGuardGo.start(namespace.pid, ["10.9.0.2/24"]);
  const theirKey = keyPairOf(theirSecret).publicKey;
  ours = new TestEndpoint(namespace.pid, randomBytes(32), theirKey, OUR_PORT);
  ours.peer.moveTo(LOOPBACK_ADDRESS, THEIR_PORT);
  ours.onPacket = (packet) => {
    const answer = answered(packet);
    if (answer !== null) ours.send(answer);
  };
  theirs.configure(configuration());
});
afterAll(async () => {
  ours.close();
  await theirs.close();
  await namespace.close();
});

it("wireguard-go makes a session with us, and its pings are answered", async () => {
  expect(await theirs.ping("10.9.0.1")).toBe(true);
  expect(ours.types[0]).toBe(MessageType.Initiation);
  expect(await theirs.ping("10.9.0.1", 3, 1392)).toBe(true);
});

it("we make a session with wireguard-go when ours is old, and it answers", async () => {
  for (const sequence of [7, 8, 9]) {
    ours.turn(181_000);
    ours.types.length = 0;
    ours.send(echo(sequence));
    await expect.poll(() => replies(ours)).toContain(sequence);
    expect(ours.types[0]).toBe(MessageType.Response);
  }
  expect(await theirs.ping("10.9.0.1")).toBe(true);
});

it("a new session is made after 120 s and after so many messages, while packets go on", async () => {
  ours.types.length = 0;
  ours.turn(121_000);
  ours.send(echo(10));
  await expect.poll(() => ours.types).toContain(MessageType.Response);
  await expect.poll(() => replies(ours)).toContain(10);
  ours.turn(6_000);
  ours.types.length = 0;
  ours.device.sessionFor(ours.peer, ours.now)?.reserve(REKEY_AFTER_MESSAGES, ours.now);
  ours.send(echo(11));
  await expect.poll(() => ours.types).toContain(MessageType.Response);
  await expect.poll(() => replies(ours)).toContain(11);
});

it("either end may move, and the other one follows", async () => {
  ours.move(OUR_PORT + 10);
  ours.send(echo(20));
  await expect.poll(() => replies(ours)).toContain(20);
  expect(theirs.show("endpoints")).toContain(`127.0.0.1:${OUR_PORT + 10}`);
  theirs.wg("set", "wg0", "listen-port", `${THEIR_PORT + 10}`);
  expect(await theirs.ping("10.9.0.1")).toBe(true);
  expect(ours.peer.port).toBe(THEIR_PORT + 10);
  ours.send(echo(21));
  await expect.poll(() => replies(ours)).toContain(21);
});

/** An initiation that says that it is for a key, and is nothing. */
function nonsense(publicKey: Uint8Array): Uint8Array {
  const message = new Uint8Array(Initiation.Length);
  message.set(randomBytes(Initiation.Length));
  message.fill(0, Initiation.Mac2);
  message.set(newKeyPair().publicKey, Initiation.Ephemeral);
  emitType(message, 0, MessageType.Initiation);
  new CookieHolder(publicKey).sign(message, 0);
  return message;
}

it("under load we give wireguard-go a cookie, and it comes again with that", async () => {
  const flood = nonsense(ours.device.publicKey);
  // A peer that it does not know yet has no session.
  theirs.configure(configuration());
  ours.types.length = 0;
  const loading = setInterval(() => {
    for (let i = 0; i < 60; i += 1) {
      ours.device.onMessage(flood, 0, flood.length, LOOPBACK_ADDRESS, 9, ours.now);
    }
  }, 0);
  const isAnswered = await theirs.ping("10.9.0.1", 1).finally(() => clearInterval(loading));
  expect(isAnswered).toBe(true);
  expect(ours.types.slice(0, 2)).toEqual([MessageType.Initiation, MessageType.Initiation]);
});

it("under load wireguard-go gives us a cookie, and we come again with that", async () => {
  const flood = nonsense(ours.peer.publicKey);
  const { address, port } = ours.peer;
  if (address === null) throw new Error("no address");
  const { pid } = namespace;
  const stranger = new TestEndpoint(pid, randomBytes(32), ours.peer.publicKey, OUR_PORT + 20);
  const loading = setInterval(() => {
    for (let i = 0; i < 500; i += 1) stranger.sendTo(flood, address, port);
  }, 0);
  await expect.poll(() => stranger.types).toContain(MessageType.CookieReply);
  ours.turn(200_000);
  ours.types.length = 0;
  ours.send(echo(30));
  // The flood goes on, and may take the place of ours in the queue: we initiate again, as after 5 s.
  const hurrying = setInterval(() => ours.turn(6_000), 100);
  await expect.poll(() => ours.types).toContain(MessageType.CookieReply);
  clearInterval(loading);
  await expect.poll(() => replies(ours)).toContain(30);
  clearInterval(hurrying);
  expect(ours.types[0]).toBe(MessageType.CookieReply);
  expect(ours.types).toContain(MessageType.Response);
  stranger.close();
});
