import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { link, served } from "../lab/addresses.ts";
import { Agent, type UdpSocket } from "../lab/agent/client.ts";
import type { Endpoint } from "../lab/agent/protocol.ts";
import { Attacker } from "../lab/attack.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { isOpenToTests } from "../lab/process.ts";
import { helper, isSlipway } from "../lab/product.ts";
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

/** What a member sends to all: a datagram, an ARP announcement, and one to a group. */
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
  await using socket = await hearer.agent.udp("0.0.0.0");
  await from.namespace.shell(announce(socket.endpoint.port));
  const heard: string[] = [];
  while (heard.length < ANNOUNCED) heard.push((await socket.receive()).text);
  return heard;
}

describe.runIf(isSlipway)("a member that floods everybody", () => {
  test("leaves others their own broadcasts and ARP requests", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "crowd");
    const attacker = await Attacker.create(lab);
    const flooder = await user.member("crowd", "flooder");
    const speaker = await user.member("crowd", "speaker");
    const hearer = await user.member("crowd", "hearer");
    await using torrent = await attacker.flooder(flooder.namespace, await floodOf(user, flooder));
    await torrent.start("eth0");
    // The burst that is allowed has been sent.
    await expect.poll(() => floodedOut(user)).toBeGreaterThan(0);
    const expected = Array.from({ length: ANNOUNCED }, (_, index) => `${index + 1}`);
    expect(await announceTo(hearer, speaker)).toEqual(expected);
    for (let round = 0; round < 3; round += 1) {
      await speaker.namespace.shell("ip neigh flush dev eth0");
      await speaker.namespace.output(["ping", "-c1", "-W5", hearer.addresses.v4]);
    }
    expect(await torrent.stop()).toBeGreaterThan(0);
    const dropped = (await user.members()).map(({ name, networks }) => [
      name,
      networks[0]?.drops["limit-rate"] !== undefined,
    ]);
    expect(Object.fromEntries(dropped)).toEqual({ flooder: true, speaker: false, hearer: false });
  });
});

/** Frames that the flooder was denied. */
async function floodedOut(user: DaemonUser): Promise<number> {
  const flooder = (await user.members()).find(({ name }) => name === "flooder");
  return flooder?.networks[0]?.drops["limit-rate"] ?? 0;
}

/** Of each process of the daemon. */
const MOST_DESCRIPTORS = 300;

interface Crowd {
  readonly user: DaemonUser;
  readonly daemon: number;
  /** Requests of those under attack. */
  readonly echo: Endpoint;
  readonly echoUdp: Endpoint;
  /** Requests of the attacker: a separate process, which may be busy. */
  readonly prey: Endpoint;
  readonly preyUdp: Endpoint;
}

/** A user whose daemon may have few descriptors, with a network. */
async function crowdOf(lab: Lab): Promise<Crowd> {
  const user = await DaemonUser.create(lab);
  const limited = ["prlimit", `--nofile=${MOST_DESCRIPTORS}:${MOST_DESCRIPTORS}`];
  const start = [...limited, lab.host.slipwayPath, "daemon", "start"];
  await lab.host.user.output(start, { env: user.env });
  for (const name of ["crowd", "other"]) await user.ok("network", "create", name);
  const daemon = Number(await user.ok("daemon", "status", "--format", "{{.pid}}"));
  const prey = await Agent.start(lab.world.root, lab.host.stage);
  return {
    user,
    daemon,
    echo: await lab.world.agent.echo(served.services),
    echoUdp: await lab.world.agent.echoUdp(served.services),
    prey: await prey.echo(served.services),
    preyUdp: await prey.echoUdp(served.services),
  };
}

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Opens as much as it can until stopped. @returns what does that, in parallel, and what stops it */
function attack(open: () => Promise<unknown>): () => Promise<void> {
  let isOn = true;
  const attempts = Array.from({ length: 4 }, async () => {
    while (isOn) await open().catch(() => delay(1));
  });
  return async () => {
    isOn = false;
    await Promise.all(attempts);
  };
}

const attacks: Readonly<Record<string, (hog: Agent, crowd: Crowd) => () => Promise<unknown>>> = {
  "connections that it holds":
    (hog, { prey }) =>
    () =>
      hog.connect(prey),
  "UDP flows": (hog, { preyUdp }) => {
    // More than there are descriptors, each repeatedly.
    const sockets: UdpSocket[] = [];
    let turn = 0;
    return async () => {
      turn += 1;
      if (sockets.length < 2 * MOST_DESCRIPTORS) sockets.push(await hog.udp("0.0.0.0"));
      await sockets[turn % sockets.length]?.send(preyUdp, "x");
    };
  },
};

/** Expects three attempts to succeed at once, by TCP and UDP, with names resolved. */
async function expectServed(
  { echo, echoUdp }: Crowd,
  { agent, namespace }: Pick<Member, "agent" | "namespace">,
): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const connection = await agent.connect(echo);
    await connection.write("here");
    expect(await connection.read(4)).toBe("here");
    const socket = await agent.udp("0.0.0.0");
    await socket.send(echoUdp, `${round}`);
    expect((await socket.receive()).text).toBe(`${round}`);
    const dig = ["dig", "+tries=1", "+time=10", `${round}.example`];
    expect(await namespace.output(dig)).not.toContain("SERVFAIL");
  }
}

/** Reports when it listens, and not before. */
const SERVE = [
  ...["sh", "-c"],
  `socat TCP4-LISTEN:80,fork,reuseaddr SYSTEM:'echo here' &
   until ss -Hltn 'sport = :80' | grep -q .; do sleep 0.01; done
   echo up; wait`,
];

/** A guest of shared mode, which the daemon's main thread serves. */
async function sharedGuest({ user }: Crowd): Promise<Guest> {
  const env = Object.entries({ ...user.env, SLIPWAY_SHARED: "1" });
  const wanting = ["env", ...env.map(([name, value]) => `${name}=${value}`)];
  const { stage } = user.lab.host;
  return user.lab.guest({ helper: [...wanting, stage.inside(helper)] });
}

/** Attacks until nothing more can be opened. @returns what stops it */
async function exhaust(crowd: Crowd, hog: Agent, kind: string): Promise<() => Promise<void>> {
  const before = descriptorsOf(crowd.daemon);
  const stop = attack(attacks[kind](hog, crowd));
  const taken = 90;
  await expect.poll(() => descriptorsOf(crowd.daemon)).toBeGreaterThan(before + taken);
  await delay(1_000);
  return stop;
}

/** A command with a published port, which the world reaches three times. */
async function expectPublished({ user }: Crowd): Promise<void> {
  const run = user.run("--network", "crowd", "--name", "serving", "-p", "8096:80", "--", ...SERVE);
  await run.printed(/up/);
  for (let round = 0; round < 3; round += 1) {
    const ask = ["socat", "-T10", "-", `TCP:${link.host}:8096`];
    expect(await user.lab.world.root.output(ask)).toBe("here\n");
  }
  run.kill("SIGTERM");
  await run.ended(10_000);
}

describe.runIf(isSlipway && isOpenToTests)(
  "a guest that takes every descriptor it can get, with",
  () => {
    test.for(Object.keys(attacks))(
      "%s: others connect, join and publish",
      async (kind, { lab, annotate }) => {
        const crowd = await crowdOf(lab);
        await using user = crowd.user;
        const before = descriptorsOf(crowd.daemon);
        const hog = await user.member("crowd", "hog");
        const second = await user.member("crowd", "second");
        const stop = await exhaust(crowd, hog.agent, kind);
        const most = descriptorsOf(crowd.daemon);
        await expectServed(crowd, second);
        // In the same thread, in another, and in the main one.
        const third = await user.member("crowd", "third");
        await expectServed(crowd, third);
        const fourth = await user.member("other", "fourth");
        await expectServed(crowd, fourth);
        const shared = await sharedGuest(crowd);
        await expectServed(crowd, { agent: await shared.agent(), namespace: shared.namespace });
        await expectPublished(crowd);
        await expectServed(crowd, second);
        await stop();
        await shared.close();
        for (const member of [hog, second, third, fourth]) await member.namespace.release();
        // Threads end with their networks.
        await expect.poll(() => descriptorsOf(crowd.daemon)).toBeLessThanOrEqual(before);
        await annotate(`${before} descriptors before, ${most} during the attack`, "measured");
      },
    );

    test("connections, in shared mode: members of networks connect, join and publish", async ({
      lab,
    }) => {
      const crowd = await crowdOf(lab);
      await using user = crowd.user;
      await using hog = await sharedGuest(crowd);
      const second = await user.member("crowd", "second");
      const stop = await exhaust(crowd, await hog.agent(), "connections that it holds");
      await expectServed(crowd, second);
      await expectServed(crowd, await user.member("other", "third"));
      await expectPublished(crowd);
      await stop();
    });

    test("connections, under a limit lowered meanwhile: others connect", async ({ lab }) => {
      const crowd = await crowdOf(lab);
      await using user = crowd.user;
      const hog = await user.member("crowd", "hog");
      const second = await user.member("crowd", "second");
      // By then the host's resolv.conf has been read: it cannot be opened later.
      await expectServed(crowd, second);
      const stop = await exhaust(crowd, hog.agent, "connections that it holds");
      const limit = async (soft: number): Promise<void> => {
        const nofile = `--nofile=${soft}:${MOST_DESCRIPTORS}`;
        await lab.host.user.output(["prlimit", "--pid", `${crowd.daemon}`, nofile]);
      };
      // From now on every open fails with EMFILE.
      await limit(descriptorsOf(crowd.daemon));
      try {
        await expectServed(crowd, second);
      } finally {
        await limit(MOST_DESCRIPTORS);
      }
      await stop();
    });
  },
);

/** Two connections at once that both succeed. */
async function connectTwice(lab: Lab, agent: Member["agent"], address: string): Promise<void> {
  const echo = await lab.world.agent.echo(address);
  const connections = await Promise.all([agent.connect(echo), agent.connect(echo)]);
  for (const connection of connections) {
    await connection.write("x");
    expect(await connection.read(1)).toBe("x");
    await connection.close();
  }
}

test.runIf(isSlipway)("a guest that has received much may still open flows", async ({ lab }) => {
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
