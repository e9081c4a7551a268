import { httpName, served } from "../lab/addresses.ts";
import type { UdpSocket } from "../lab/agent/client.ts";
import { isOpenToTests } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { describe, expect, test } from "./fixture.ts";

describe("UDP", () => {
  test("an answer comes from the address that was sent to", async ({ lab }) => {
    await using guest = await lab.guest();
    const echo = await lab.world.agent.echoUdp(served.services);
    const socket = await (await guest.agent()).udp("0.0.0.0");
    await socket.send(echo, "ping");
    expect(await socket.receive()).toEqual({ text: "ping", from: echo });
  });

  test("one socket of the guest talks to many peers", async ({ lab }) => {
    await using guest = await lab.guest();
    const echoes = await Promise.all(
      Array.from({ length: 8 }, () => lab.world.agent.echoUdp(served.services)),
    );
    const socket = await (await guest.agent()).udp("0.0.0.0");
    for (const echo of echoes) {
      await socket.send(echo, `to ${echo.port}`);
      expect(await socket.receive()).toEqual({ text: `to ${echo.port}`, from: echo });
    }
  });

  test("a peer can tell apart many sockets of the guest", async ({ lab }) => {
    await using guest = await lab.guest();
    const agent = await guest.agent();
    const server = await lab.world.agent.udp(served.services);
    const sockets = await Promise.all(Array.from({ length: 8 }, () => agent.udp("0.0.0.0")));
    for (const socket of sockets) {
      await socket.send(server.endpoint, `from ${socket.endpoint.port}`);
      const { text, from } = await server.receive();
      await server.send(from, `re: ${text}`);
    }
    for (const socket of sockets) {
      const { text } = await socket.receive();
      expect(text).toBe(`re: from ${socket.endpoint.port}`);
    }
  });
});

describe.for([4, 6] as const)("UDP over IPv%i", (family) => {
  const services = family === 4 ? served.services : served.services6;
  const any = family === 4 ? "0.0.0.0" : "::";

  test.for([0, 1_472, 1_473, 4_000, 65_507])("%i bytes and back", async (length, { lab }) => {
    await using guest = await lab.guest({ ipv6: family === 6 });
    const echo = await lab.world.agent.echoUdp(services);
    const socket = await (await guest.agent()).udp(any);
    const text = patternOf(length);
    await socket.send(echo, text);
    expect(await socket.receive()).toEqual({ text, from: echo });
  });

  test("a long datagram arrives unchanged as the guest's first", async ({ lab }) => {
    await using guest = await lab.guest({ ipv6: family === 6, mtu: 65_520 });
    const loopback = family === 4 ? "127.0.0.1" : "::1";
    const { port } = await lab.host.agent.echoUdp(loopback);
    const address = family === 4 ? guest.addresses.gateway : "fd00::2";
    const socket = await (await guest.agent()).udp(any);
    const text = patternOf(60_000);
    await socket.send({ address, port }, text);
    expect(await socket.receive()).toEqual({ text, from: { address, port } });
  });

  test("bursts of all sizes arrive in order and unchanged", async ({ lab }) => {
    await using guest = await lab.guest({ ipv6: family === 6 });
    const server = await lab.world.agent.udp(services);
    const client = await (await guest.agent()).udp(any);
    // Datagrams that wait for the gateway's address may be overtaken in the guest's own kernel.
    await client.send(server.endpoint, "first");
    await server.receive();
    // Runs of equal sizes leave as one, a shorter one ends a run, empty ones are sent alone.
    const lengths = [100, 100, 100, 60, 100, 0, 1400, 1400, 1400, 1400, 900, 900, 20, 3000, 7];
    const sent = lengths.map((length, index) => `${index} ${patternOf(length)}`);
    await Promise.all(sent.map((text) => client.send(server.endpoint, text)));
    const there = await receiveAll(server, sent.length);
    expect(there.map(({ text }) => text)).toEqual(sent);
    const { from } = there[0];
    await Promise.all(sent.map((text) => server.send(from, text)));
    expect((await receiveAll(client, sent.length)).map(({ text }) => text)).toEqual(sent);
  });

  test("a refused datagram does not hold back the socket's next one", async ({ lab }) => {
    await using guest = await lab.guest({ ipv6: family === 6 });
    const echo = await lab.world.agent.echoUdp(services);
    const client = await (await guest.agent()).udp(any);
    for (let count = 0; count < 20; count += 1) {
      await client.send({ address: services, port: 777 }, "to nobody");
      await client.send(echo, `${count}`);
      expect(await client.receive()).toEqual({ text: `${count}`, from: echo });
    }
  });

  test("any peer may answer, as STUN and games need", async ({ lab }) => {
    await using guest = await lab.guest({ ipv6: family === 6 });
    const [server, stranger] = [
      await lab.world.agent.udp(services),
      await lab.world.agent.udp(services),
    ];
    const client = await (await guest.agent()).udp(any);
    await client.send(server.endpoint, "hello");
    const { from } = await server.receive();
    await stranger.send(from, "from another port");
    expect(await client.receive()).toEqual({
      text: "from another port",
      from: stranger.endpoint,
    });
  });
});

describe.skipIf(!isSlipway).for([4, 6] as const)("--timeout, IPv%i", (family) => {
  const services = family === 4 ? served.services : served.services6;

  test.for([
    ["udp-unanswered=1", "unanswered"],
    ["udp=1", "answered"],
    ["ping=1", "ping"],
  ])("%s releases a port after that time without traffic", async ([timeout, how], { lab }) => {
    await using guest = await lab.guest({ ipv6: true, options: [`--timeout=${timeout}`] });
    const before = guest.helper.openDescriptors();
    if (how === "ping") {
      await guest.namespace.output(["ping", "-c", "1", "-W", "2", services]);
    } else {
      const server = await lab.world.agent.udp(services);
      const client = await (await guest.agent()).udp(family === 4 ? "0.0.0.0" : "::");
      await client.send(server.endpoint, "hello");
      const { from } = await server.receive();
      if (how === "answered") {
        await server.send(from, "hello");
        await client.receive();
      }
    }
    if (isOpenToTests) expect(guest.helper.openDescriptors()).toBe(before + 1);
    await expect.poll(() => guest.helper.openDescriptors(), { interval: 100 }).toBe(before);
  });
});

test.skipIf(!isSlipway)("--udp-filtering=address drops datagrams of strangers", async ({ lab }) => {
  await using guest = await lab.guest({ udpFiltering: "address" });
  const asked = await lab.world.agent.udp(served.services);
  const stranger = await lab.world.agent.udp(served.http);
  const client = await (await guest.agent()).udp("0.0.0.0");
  await client.send(asked.endpoint, "hello");
  const { from } = await asked.receive();
  await stranger.send(from, "unasked");
  const other = await lab.world.agent.udp(served.services);
  await other.send(from, "from another port of the address asked");
  expect(await client.receive()).toMatchObject({ from: other.endpoint });
  await client.send(stranger.endpoint, "hello");
  await stranger.receive();
  await stranger.send(from, "asked");
  expect(await client.receive()).toEqual({ text: "asked", from: stranger.endpoint });
});

function patternOf(length: number): string {
  return "0123456789abcdefg".repeat(length / 17 + 1).slice(0, length);
}

async function receiveAll(socket: UdpSocket, count: number) {
  const all: Awaited<ReturnType<UdpSocket["receive"]>>[] = [];
  while (all.length < count) all.push(await socket.receive());
  return all;
}

describe("DNS at the network's third address", () => {
  test.for([
    ["A", served.http],
    ["AAAA", served.http6],
    ["TXT", `"the world of Slipway's lab"`],
  ] as const)("%s", async ([type, answer], { lab }) => {
    await using guest = await lab.guest();
    const command = ["dig", "+short", `@${guest.addresses.dns}`, httpName, type];
    expect((await guest.namespace.output(command)).trim()).toBe(answer);
  });

  test("reports a name that does not exist", async ({ lab }) => {
    await using guest = await lab.guest();
    const command = ["dig", `@${guest.addresses.dns}`, "nobody.example"];
    expect(await guest.namespace.output(command)).toContain("status: NXDOMAIN");
  });
});

test("the gateway answers ping", async ({ lab }) => {
  await using guest = await lab.guest();
  const outcome = await guest.run([
    "ping",
    "-c",
    "3",
    "-i",
    "0.2",
    "-W",
    "2",
    guest.addresses.gateway,
  ]);
  expect(outcome.stdout).toContain("3 received");
  expect(outcome.code).toBe(0);
});
