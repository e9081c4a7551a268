import { figureType } from "../figures.ts";
import { served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { Guest } from "../lab/guest.ts";
import { iperf3, startIperf3 } from "../lab/iperf3.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { test as base, describe, expect } from "./fixture.ts";
import { KEPT, keptOf } from "./kept.ts";

const test = base.extend("server", { scope: "file" }, ({ lab }: { lab: Lab }) =>
  startIperf3(lab.world.root, served.services),
);

const flows = 200;
const mebibyte = 1024 * 1024;
/** Where the machine is slow: see keptOf(). */
const keptWhenSlow = 0.4;

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
 * The world's receivers have buffers of the least size, so that what comes in large segments first
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

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/**
 * Rate of one guest's transfer against another's, by medians of alternating rounds. A machine that
 * is shared is uneven: more rounds, up to nine, until the ratio is as hoped.
 */
async function ratio(
  measure: (guest: Guest) => Promise<number>,
  [subject, reference]: readonly [Guest, Guest],
): Promise<{ ratio: number; hoped: number; text: string }> {
  const rates: [number[], number[]] = [[], []];
  for (let round = 1; ; round += 1) {
    rates[0].push(await measure(subject));
    rates[1].push(await measure(reference));
    const result = median(rates[0]) / median(rates[1]);
    const hoped = keptOf(median(rates[1]) / 1000, keptWhenSlow);
    if ((round < 3 || result < hoped) && round < 9) continue;
    const text = `${median(rates[0])} of ${median(rates[1])} Mbit/s, ${round} rounds`;
    return { ratio: result, hoped, text };
  }
}

describe.runIf(isSlipway)(`beside ${flows} stalled flows`, () => {
  test.for([
    ["fed tiny segments, the world not reading", feedTiny],
    ["fed large segments, the world not reading", feedLarge],
    ["fed by the world, the guest not reading", feedFromWorld],
  ] as const)(
    "%s, a healthy transfer keeps its rate",
    async ([, feed], { lab, server, annotate }) => {
      await using plain = await lab.guest();
      await using guest = await lab.guest({ options: ["--stats"] });
      const pairs = await feed(lab, guest);
      const guests = [guest, plain] as const;
      const up = await ratio((it) => iperf3(it, server, 1), guests);
      const down = await ratio((it) => iperf3(it, server, 1, ["--reverse"]), guests);
      const figures = await finalFigures(guest);
      const isReached = up.ratio >= KEPT && down.ratio >= KEPT;
      await annotate(`up ${up.text}; down ${down.text}`, figureType(isReached));
      await annotate([...figures].map((figure) => figure.join(" ")).join("; "), "counters");
      expect(figures.get("tcp-connections")).toBe(flows);
      expect(figures.get("memory-peak")).toBeLessThanOrEqual(64 * mebibyte);
      expect(up.ratio).toBeGreaterThanOrEqual(up.hoped);
      expect(down.ratio).toBeGreaterThanOrEqual(down.hoped);
      await Promise.all(pairs.flatMap(({ inside, outside }) => [inside.close(), outside.close()]));
    },
  );
});
