import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Loop } from "../../src/loop/loop.js";
import { parseAddress } from "../../src/network/plans.js";
import { keyPairOf } from "../../src/sys/crypto/x25519.js";
import { randomBytes } from "../../src/sys/random.js";
import { addToSum, complement } from "../../src/wire/checksum.js";
import { mutated } from "../fuzz/mutation.js";
import { LINUX } from "../wire/captures.js";
import { TestEndpoint } from "../wireguard/endpoint.js";
import { WireGuardGo } from "../wireguard/wireguard-go.js";
import { endStage, Host, makeUnderlay, member, type Place, UNDERLAY } from "./stage.js";
import { expectNoFault, expectTraffic } from "./traffic.js";

const PORT = 51_820;
const MTU = 1420;

const loop = new Loop();

beforeAll(() => loop.start());
afterAll(() => {
  loop.stop();
  endStage();
});

const [near, far, laptop] = [member("near", 2), member("far", 3), member("laptop", 4)];
const OTHER = { kind: "host", host: "other" } as const;

/** Two hosts with a member each, which know of each other. */
async function twoHosts(addresses: readonly [string, string]) {
  const underlay = await makeUnderlay();
  const hosts = [new Host(loop, underlay[0]), new Host(loop, underlay[1])] as const;
  const secrets = [randomBytes(32), randomBytes(32)];
  const keys = secrets.map((secret) => keyPairOf(secret).publicKey);
  for (const [index, host] of hosts.entries()) {
    await host.open({ kind: "wireguard" }, addresses[index], PORT, MTU, secrets[index]);
    host.learnHost("other", addresses[1 - index], PORT, keys[1 - index]);
  }
  hosts[0].learnRemote(far, OTHER);
  hosts[1].learnRemote(near, OTHER);
  const places = [await hosts[0].join(near, MTU), await hosts[1].join(far, MTU)] as const;
  return { hosts, places, keys, underlay };
}

describe.each([4, 6] as const)("two hosts over IPv%i", (family) => {
  let hosts: readonly [Host, Host];
  let places: readonly [Place, Place];

  beforeAll(async () => {
    ({ hosts, places } = await twoHosts(UNDERLAY[family]));
  });

  test("members reach each other by both families, whatever they send", async () => {
    await expectTraffic(places[0], places[1], far.addresses);
    for (const host of hosts) await expectNoFault(host);
  });

  test("a host that sends what the store does not give it is not believed", async () => {
    const stranger = member("stranger", 9);
    const place = await hosts[1].join(stranger, MTU);
    await expect(place.shell(`ping -c2 -i0.2 -W1 ${near.addresses[0]}`)).rejects.toThrow();
    expect((await hosts[0].drops())["tunnel-spoofed"]).toBeGreaterThanOrEqual(2);
    expect(await hosts[0].drops()).not.toHaveProperty("tunnel-malformed");
  });
});

/** Takes a data message that is on its way to an address, and sends it again from elsewhere, with some nonsense. */
const REPLAY = (address: string) => `
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
wire.bind(("eth0", 0))
while True:
    packet = wire.recv(65536)
    to = (socket.inet_ntoa(packet[16:20]), int.from_bytes(packet[22:24], "big"))
    if packet[9] == 17 and to == ("${address}", ${PORT}) and packet[28] == 4: break
again = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for message in [packet[28:]] * 3 + [b"\\x04" + bytes(47), b"\\x09" * 60, b""]:
    again.sendto(message, ("${address}", ${PORT}))`;

test("what is recorded on the way and sent again is dropped, and moves nobody", async () => {
  const { hosts, places, underlay } = await twoHosts(UNDERLAY[4]);
  const replayed = underlay[1].shell(`python3 -c '${REPLAY(UNDERLAY[4][0])}'`);
  const ping = (count: number) => places[1].shell(`ping -c${count} -i0.2 -W5 ${near.addresses[0]}`);
  expect(await ping(15)).toMatch("15 received");
  await replayed;
  expect(await hosts[0].drops()).toEqual({
    "tunnel-replayed": 3,
    "tunnel-unknown-host": 1,
    "tunnel-malformed": 1,
  });
  expect(await places[0].shell(`ping -c2 -i0.2 -W5 ${far.addresses[0]}`)).toMatch("2 received");
});

/** An echo request from `laptop` to `near`. */
function echo(): Buffer {
  const packet = Buffer.alloc(64);
  packet.set([0x45, 0, 0, 64, 0, 0, 0, 0, 64, 1, 0, 0, 10, 101, 0, 4, 10, 101, 0, 2]);
  packet.writeUInt16BE(complement(addToSum(0, packet, 0, 20)), 10);
  packet.set([8, 0, 0, 0, 0x12, 0x34, 0, 1], 20);
  packet.writeUInt16BE(complement(addToSum(0, packet, 20, 44)), 22);
  return packet;
}

test("whatever a client seals, the host goes on, and takes what is right", {
  timeout: 120_000,
}, async () => {
  const { hosts, keys, underlay } = await twoHosts(UNDERLAY[4]);
  const secret = randomBytes(32);
  const publicKey = Buffer.from(keyPairOf(secret).publicKey).toString("base64");
  hosts[0].learnRemote(laptop, { kind: "wireguard", publicKey });
  const client = new TestEndpoint(underlay[0].pid, secret, keys[0], 40_000);
  onTestFinished(() => client.close());
  client.peer.moveTo(parseAddress(UNDERLAY[4][0]), PORT);
  const isReply = (packet: Buffer) => packet[9] === 1 && packet[20] === 0;
  const answers = () => client.packets.filter(isReply).length;
  client.send(echo());
  await expect.poll(answers).toBe(1);
  // Frames of Linux, of both families, without their Ethernet headers.
  const seeds = [echo(), ...LINUX.map((frame) => frame.subarray(14))];
  for (const [index, packet] of fc.sample(mutated(seeds), 3_000).entries()) {
    client.send(packet.subarray(0, 1420));
    if (index % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const before = answers();
  client.send(echo());
  await expect.poll(answers).toBeGreaterThan(before);
  const { "tunnel-malformed": malformed, "tunnel-spoofed": spoofed } = await hosts[0].drops();
  expect(malformed).toBeGreaterThan(0);
  expect(spoofed).toBeGreaterThan(0);
});

describe("wireguard-go as a client of a host", () => {
  const PREFIXES = "10.101.0.0/16, fd00:101::/64";
  const secret = randomBytes(32);
  let hosts: readonly [Host, Host];
  let places: readonly [Place, Place];
  let box: Place;
  let client: WireGuardGo;

  /** @param key its private key @param server public key of the host */
  const configuration = (key: Uint8Array, server: Uint8Array) => `
    [Interface]
    PrivateKey = ${Buffer.from(key).toString("base64")}
    [Peer]
    PublicKey = ${Buffer.from(server).toString("base64")}
    AllowedIPs = ${PREFIXES}
    Endpoint = ${UNDERLAY[4][0]}:${PORT}
    PersistentKeepalive = 25`;
  let configure: (key: Uint8Array) => void;

  beforeAll(async () => {
    const stage = await twoHosts(UNDERLAY[4]);
    ({ hosts, places } = stage);
    box = stage.underlay[1];
    const { publicKey } = keyPairOf(secret);
    const text = Buffer.from(publicKey).toString("base64");
    hosts[0].learnRemote(laptop, { kind: "wireguard", publicKey: text });
    hosts[1].learnRemote(laptop, OTHER);
    const [four, six] = laptop.addresses;
    client = await WireGuardGo.start(box.pid, [`${four}/16`, `${six}/64`]);
    configure = (key) => client.configure(configuration(key, stage.keys[0]));
    configure(secret);
  });
  afterAll(() => client.close());

  test("reaches members of its host and of others, and is reached by both", async () => {
    // A host reaches a client when it has heard of it.
    await expect.poll(() => client.show("latest-handshakes")).not.toMatch(/\t0$/);
    await expectTraffic(box, places[0], near.addresses);
    await expectTraffic(places[0], box, laptop.addresses);
    await expectTraffic(box, places[1], far.addresses);
    await expectTraffic(places[1], box, laptop.addresses);
    expect(await hosts[0].drops()).not.toHaveProperty("tunnel-spoofed");
    expect(await hosts[1].drops()).not.toHaveProperty("tunnel-spoofed");
  });

  test("is believed with no other address, towards members here and elsewhere", async () => {
    client.addAddress("10.101.0.77/32");
    const before = (await hosts[0].drops())["tunnel-spoofed"] ?? 0;
    for (const [address] of [near.addresses, far.addresses]) {
      const ping = box.shell(`ping -c2 -i0.2 -W1 -I 10.101.0.77 ${address}`);
      await expect(ping).rejects.toThrow();
    }
    expect((await hosts[0].drops())["tunnel-spoofed"]).toBeGreaterThanOrEqual(before + 4);
  });

  test("is not answered with a key that the store does not have", async () => {
    configure(randomBytes(32));
    await expect(box.shell(`ping -c1 -W1 ${near.addresses[0]}`)).rejects.toThrow();
    expect((await hosts[0].drops())["tunnel-unknown-host"]).toBeGreaterThanOrEqual(1);
    expect(client.show("latest-handshakes")).toMatch(/\t0$/);
  });
});
