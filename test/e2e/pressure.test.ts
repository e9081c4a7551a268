import { served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { describe, expect, test } from "./fixture.ts";

const flows = 200;
const mebibyte = 1024 * 1024;
/** More than the buffers of a connection hold, in bytes. */
const healthy = 32 * mebibyte;

interface Pair {
  readonly inside: Connection;
  readonly outside: Connection;
}

async function open(lab: Lab, guest: Guest): Promise<Pair[]> {
  const listener = await lab.world.agent.listen(served.services);
  const agent = await guest.agent();
  const pairs: Pair[] = [];
  for (let i = 0; i < flows; i += 1) {
    const inside = await agent.connect(listener.endpoint);
    pairs.push({ inside, outside: await listener.accept() });
  }
  return pairs;
}

async function fillAll(from: readonly Connection[], limit: number, chunk?: number): Promise<void> {
  await Promise.all(from.map((connection) => connection.fill(limit, 2_000, chunk)));
}

/**
 * The world's receivers have buffers of the minimum size, so that data in large segments first
 * fills the host's sockets, and the tiny ones wait in Slipway.
 */
async function feedTiny(lab: Lab, guest: Guest): Promise<Pair[]> {
  const { root } = lab.world;
  const file = "/proc/sys/net/ipv4/tcp_rmem";
  const usual = await root.shell(`cat ${file}`);
  await root.shell(`echo 4096 4096 4096 > ${file}`);
  try {
    const pairs = await open(lab, guest);
    const from = pairs.map(({ inside }) => inside);
    await fillAll(from, 96 * 1024, 1024);
    await fillAll(from, 4_000, 1);
    return pairs;
  } finally {
    await root.shell(`echo ${usual.trim()} > ${file}`);
  }
}

async function feedLarge(lab: Lab, guest: Guest): Promise<Pair[]> {
  const pairs = await open(lab, guest);
  await fillAll(
    pairs.map(({ inside }) => inside),
    64 * mebibyte,
  );
  return pairs;
}

async function feedFromWorld(lab: Lab, guest: Guest): Promise<Pair[]> {
  const pairs = await open(lab, guest);
  await fillAll(
    pairs.map(({ outside }) => outside),
    64 * mebibyte,
  );
  return pairs;
}

/** @returns Mbit/s at which bytes arrived unchanged */
async function carry(from: Connection, to: Connection): Promise<number> {
  const started = performance.now();
  const received = to.receive();
  const sent = await from.send(healthy);
  await from.end();
  expect(await received).toEqual(sent);
  return Math.round((8 * healthy) / (performance.now() - started) / 1_000);
}

/** One connection sends bytes up, and one down, and both are closed. */
async function transfer(lab: Lab, guest: Guest): Promise<{ up: number; down: number }> {
  await using listener = await lab.world.agent.listen(served.services);
  const before = guest.helper.openDescriptors();
  const rates = { up: 0, down: 0 };
  for (const direction of ["up", "down"] as const) {
    const inside = await (await guest.agent()).connect(listener.endpoint);
    const outside = await listener.accept();
    const [from, to] = direction === "up" ? [inside, outside] : [outside, inside];
    rates[direction] = await carry(from, to);
    await Promise.all([inside.close(), outside.close()]);
  }
  await expect.poll(() => guest.helper.openDescriptors()).toBe(before);
  return rates;
}

describe.runIf(isSlipway)(`beside ${flows} stalled flows`, () => {
  test.for([
    ["fed tiny segments, the world not reading", feedTiny],
    ["fed large segments, the world not reading", feedLarge],
    ["fed by the world, the guest not reading", feedFromWorld],
  ] as const)("%s, a healthy transfer completes", async ([, feed], { lab, annotate }) => {
    await using guest = await lab.guest({ options: ["--stats"] });
    const alone = await transfer(lab, guest);
    const pairs = await feed(lab, guest);
    const beside = await transfer(lab, guest);
    const figures = await finalFigures(guest);
    const text = `up ${beside.up} of ${alone.up} Mbit/s; down ${beside.down} of ${alone.down}`;
    await annotate(text, "measured");
    await annotate([...figures].map((figure) => figure.join(" ")).join("; "), "counters");
    expect(figures.get("tcp-connections")).toBe(flows);
    expect(figures.get("memory-peak")).toBeLessThanOrEqual(64 * mebibyte);
    await Promise.all(pairs.flatMap(({ inside, outside }) => [inside.close(), outside.close()]));
  });
});
