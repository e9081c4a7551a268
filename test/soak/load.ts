/** The load: workers that each repeat one kind of work until told to rest. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { type ApiGuest, addForward, ask } from "../e2e/api-client.ts";
import { httpName, link, served } from "../lab/addresses.ts";
import type { Agent, Connection } from "../lab/agent/client.ts";
import type { Endpoint } from "../lab/agent/protocol.ts";
import type { Lab } from "../lab/lab.ts";

/** Totals so far, all of it checked. */
export interface Totals {
  /** by TCP, both ways */
  bytes: number;
  requests: number;
  connections: number;
  datagrams: number;
  /** UDP may lose some; each was sent again */
  datagramsLost: number;
  queries: number;
  forwards: number;
}

const nothingDone = (): Totals => ({
  bytes: 0,
  requests: 0,
  connections: 0,
  datagrams: 0,
  datagramsLost: 0,
  queries: 0,
  forwards: 0,
});

/** One kind of load; each call is one round of it and ends within seconds. */
type Round = () => Promise<void>;

const BULK = 16 * 1024 * 1024;
const REQUESTS = 50;
const SHORT = 10;
const FORWARDED_PORT = 8000;
const DATAGRAM_SIZES = [1, 512, 1_472, 1_473, 9_000, 60_000];

export interface Load {
  readonly totals: Totals;
  /** Works until then; resolves when the last round has ended. */
  until(deadline: number): Promise<void>;
}

export async function makeLoad(lab: Lab, api: ApiGuest): Promise<Load> {
  const { guest } = api;
  const totals = nothingDone();
  const inside = await guest.agent();
  const outside = lab.world.agent;
  const [echo, echo6, udpEcho] = await Promise.all([
    outside.echo(served.services),
    outside.echo(served.services6),
    outside.echoUdp(served.services),
  ]);
  const rounds: Round[] = [
    () => bulk(lab, inside, totals, "up"),
    () => bulk(lab, inside, totals, "down"),
    () => requests(inside, echo, totals),
    () => requests(inside, echo6, totals),
    () => shortConnections(inside, echo, totals),
    () => datagrams(inside, udpEcho, totals),
    () => queries(guest, totals),
    () => forwards(lab, api, totals),
    () => refusals(inside),
  ];
  const repeat = async (round: Round, deadline: number) => {
    while (performance.now() < deadline) {
      await round();
      await delay(Math.random() * 100);
    }
  };
  return {
    totals,
    async until(deadline) {
      await Promise.all(rounds.map((round) => repeat(round, deadline)));
    },
  };
}

async function pair(lab: Lab, inside: Agent): Promise<{ guest: Connection; world: Connection }> {
  const listener = await lab.world.agent.listen(served.services);
  const guest = await inside.connect(listener.endpoint);
  const world = await listener.accept();
  await listener.close();
  return { guest, world };
}

async function bulk(lab: Lab, inside: Agent, totals: Totals, way: "up" | "down"): Promise<void> {
  const ends = await pair(lab, inside);
  const [from, to] = way === "up" ? [ends.guest, ends.world] : [ends.world, ends.guest];
  const received = to.receive(BULK, 5);
  const sent = await from.send(BULK, 5);
  await from.end();
  assert.deepEqual(await received, sent, `bulk ${way}`);
  await Promise.all([from.close(), to.close()]);
  totals.bytes += BULK;
  totals.connections += 1;
}

async function requests(inside: Agent, echo: Endpoint, totals: Totals): Promise<void> {
  const connection = await inside.connect(echo);
  for (let i = 0; i < REQUESTS; i += 1) {
    const text = `${i} ${"request ".repeat(1 + Math.floor(Math.random() * 100))}`;
    await connection.write(text);
    assert.equal(await connection.read(text.length), text, "request");
    totals.bytes += 2 * text.length;
    totals.requests += 1;
  }
  await connection.close();
  totals.connections += 1;
}

/** Ended in every possible way. */
async function shortConnections(inside: Agent, echo: Endpoint, totals: Totals): Promise<void> {
  for (let i = 0; i < SHORT; i += 1) {
    const connection = await inside.connect(echo);
    await connection.write("short");
    assert.equal(await connection.read(5), "short");
    if (i % 3 === 0) await connection.reset();
    else if (i % 3 === 1) await connection.end();
    await connection.close();
    totals.connections += 1;
  }
}

async function datagrams(inside: Agent, echo: Endpoint, totals: Totals): Promise<void> {
  const socket = await inside.udp("0.0.0.0");
  for (const size of DATAGRAM_SIZES) {
    const text = `${Math.random()}`.padEnd(size, "datagram ").slice(0, size);
    await socket.send(echo, text);
    const answer = await socket.receive(2_000).catch(() => null);
    if (answer === null) totals.datagramsLost += 1;
    else assert.equal(answer.text, text, `datagram of ${size} bytes`);
    totals.datagrams += 1;
    // A late answer must not count as the next one's.
    if (answer === null) break;
  }
  await socket.close();
  await delay(1_000);
}

async function queries(guest: ApiGuest["guest"], totals: Totals): Promise<void> {
  const dig = ["dig", "+short", "+tries=2", `@${guest.addresses.dns}`];
  const udp = await guest.run([...dig, httpName]);
  assert.equal(udp.stdout, `${served.http}\n`, "DNS");
  const tcp = await guest.run([...dig, "+tcp", "AAAA", httpName]);
  assert.equal(tcp.stdout, `${served.http6}\n`, "DNS by TCP");
  totals.queries += 2;
  await delay(500);
}

async function forwards(lab: Lab, { guest, socket }: ApiGuest, totals: Totals): Promise<void> {
  const inside = await guest.agent();
  const listener = await inside.listen("0.0.0.0");
  const forward = {
    proto: "tcp",
    host_addr: link.host,
    host_port: FORWARDED_PORT,
    guestPort: listener.endpoint.port,
  } as const;
  const id = await addForward(lab, socket, forward);
  const client = await lab.world.agent.connect({ address: link.host, port: FORWARDED_PORT });
  const server = await listener.accept();
  await client.write("published");
  assert.equal(await server.read(9), "published");
  const received = client.receive();
  const sent = await server.send(256 * 1024);
  await server.end();
  assert.deepEqual(await received, sent, "published");
  await Promise.all([client.close(), server.close(), listener.close()]);
  const removed = await ask(lab, socket, { execute: "remove_hostfwd", arguments: { id } });
  assert.deepEqual(removed, { return: {} });
  totals.bytes += sent.bytes;
  totals.connections += 1;
  totals.forwards += 1;
}

async function refusals(inside: Agent): Promise<void> {
  const { code } = await inside.refusal({ address: served.services, port: 9 });
  assert.equal(code, "ECONNREFUSED");
  await delay(500);
}
