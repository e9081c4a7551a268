import { setTimeout as delay } from "node:timers/promises";
import { served } from "../lab/addresses.ts";
import { Attacker } from "../lab/attack.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { arp, ethernet, frame, ipv4, mac, protocol, udpDatagram, zeros } from "./attacks/frames.ts";
import { DaemonUser, type Member } from "./daemon-user.ts";
import { describe, expect, test } from "./fixture.ts";

const BROADCAST = "ff:ff:ff:ff:ff:ff";

async function macOf(user: DaemonUser, name: string): Promise<string> {
  const place = (await user.members()).find((each) => each.name === name)?.networks[0];
  if (place === undefined) throw new Error(`no place of ${name}`);
  return place.mac;
}

/** What a member sends to everybody: a datagram, an announcement of ARP, and one to a group. */
async function floodOf(user: DaemonUser, { name, addresses }: Member): Promise<Uint8Array[]> {
  const from = await macOf(user, name);
  const datagram = (to: string, toMac: string) =>
    frame(
      ethernet.ipv4,
      ipv4(to, protocol.udp, udpDatagram(addresses.v4, to, 4_000, 4_001, zeros(18)), {
        source: addresses.v4,
      }),
      { from, to: toMac },
    );
  const announcement = arp(1, mac(from), addresses.v4, addresses.v4);
  return [
    datagram("255.255.255.255", BROADCAST),
    frame(ethernet.arp, announcement, { from, to: BROADCAST }),
    datagram("239.1.1.1", "01:00:5e:01:01:01"),
  ];
}

const ANNOUNCED = 20;

/** Each once, some ms apart. */
const announce = (port: number) => `
  for number in $(seq ${ANNOUNCED}); do
    printf $number | socat -u - UDP4-DATAGRAM:255.255.255.255:${port},broadcast
  done`;

async function announceTo(hearer: Member, from: Member): Promise<string[]> {
  const socket = await hearer.agent.udp("0.0.0.0");
  await from.namespace.shell(announce(socket.endpoint.port));
  const heard: string[] = [];
  while (heard.length < ANNOUNCED) heard.push((await socket.receive()).text);
  await socket.close();
  return heard;
}

describe.runIf(isSlipway)("a member that floods everybody", () => {
  test("leaves to others what they send to everybody, and their questions of ARP", async ({
    lab,
  }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "crowd");
    const attacker = await Attacker.create(lab);
    const flooder = await user.member("crowd", "flooder");
    const speaker = await user.member("crowd", "speaker");
    const hearer = await user.member("crowd", "hearer");
    const torrent = await attacker.flooder(flooder.namespace, await floodOf(user, flooder));
    await torrent.start("eth0");
    // What may be sent at once has been.
    await expect.poll(() => floodedOut(user)).toBeGreaterThan(0);
    const expected = Array.from({ length: ANNOUNCED }, (_, index) => `${index + 1}`);
    expect(await announceTo(hearer, speaker)).toEqual(expected);
    for (let round = 0; round < 3; round += 1) {
      await speaker.namespace.shell("ip neigh flush dev eth0");
      await speaker.namespace.output(["ping", "-c1", "-W5", hearer.addresses.v4]);
    }
    expect(await torrent.stop()).toBeGreaterThan(0);
    await torrent.close();
    const dropped = (await user.members()).map(({ name, networks }) => [
      name,
      networks[0]?.drops["limit-rate"] !== undefined,
    ]);
    expect(Object.fromEntries(dropped)).toEqual({ flooder: true, speaker: false, hearer: false });
  });
});

/** Of frames that the flooder was denied to send. */
async function floodedOut(user: DaemonUser): Promise<number> {
  const flooder = (await user.members()).find(({ name }) => name === "flooder");
  return flooder?.networks[0]?.drops["limit-rate"] ?? 0;
}

/** Two connections at once that are both meant. */
async function connectTwice(lab: Lab, agent: Member["agent"], address: string): Promise<void> {
  const echo = await lab.world.agent.echo(address);
  const connections = await Promise.all([agent.connect(echo), agent.connect(echo)]);
  for (const connection of connections) {
    await connection.write("x");
    expect(await connection.read(1)).toBe("x");
    await connection.close();
  }
}

test.runIf(isSlipway)("a guest that has received much may begin what it means", async ({ lab }) => {
  // One may begin at once and one may wait: a third is dropped.
  const options = ["--max-new-flows=1", "--max-half-open=1", "--stats"];
  await using guest = await lab.guest({ options });
  const agent = await guest.agent();
  const listener = await lab.world.agent.listen(served.services);
  const inside = await agent.connect(listener.endpoint);
  const outside = await listener.accept();
  const received = inside.receive();
  await outside.send(256 * 1024);
  await outside.end();
  await received;
  // Bulk counts for 100 ms.
  await delay(500);
  for (let round = 0; round < 5; round += 1) await connectTwice(lab, agent, served.services);
  expect((await finalFigures(guest)).get("dropped limit-rate")).toBeUndefined();
});
