import { served } from "../lab/addresses.ts";
import type { Agent } from "../lab/agent/client.ts";
import { Lab } from "../lab/lab.ts";
import { test as base, describe, expect } from "./fixture.ts";

// 20 ms and 1 %, in each direction together.
const test = base.extend(
  "far",
  { scope: "file" },
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the dependencies off the pattern
  async ({}, { onCleanup }) => {
    const lab = await Lab.create({ delayMs: 10, lossPercent: 0.5 });
    onCleanup(() => lab.close());
    return lab;
  },
);

const size = 16 * 1024 * 1024;

/** Megabits per second. */
interface Rates {
  readonly up: number;
  readonly down: number;
}

/** Sends data through one connection and back; returns the megabits per second of both directions. */
async function roundTrip(lab: Lab, client: Agent): Promise<Rates> {
  const listener = await lab.world.agent.listen(served.services);
  const inside = await client.connect(listener.endpoint);
  const outside = await listener.accept();
  const started = performance.now();
  const sentUp = await Promise.all([
    inside.send(size).finally(() => inside.end()),
    outside.receive(),
  ]);
  const turned = performance.now();
  const sentDown = await Promise.all([
    outside.send(size).finally(() => outside.end()),
    inside.receive(),
  ]);
  const ended = performance.now();
  for (const [sent, received] of [sentUp, sentDown]) expect(received).toEqual(sent);
  const rate = (ms: number) => Math.round((8 * size) / ms / 1_000);
  return { up: rate(turned - started), down: rate(ended - turned) };
}

describe("over a link with delay and loss", () => {
  test("the delay is real", async ({ far }) => {
    const text = await far.host.root.output(["ping", "-c", "5", "-i", "0.1", served.http]);
    const fastest = Number(/min\/avg\/max\/mdev = ([\d.]+)/.exec(text)?.[1]);
    expect(fastest).toBeGreaterThanOrEqual(20);
  });

  // The test reports the rate beside that of a process of the host.
  test("data arrives unchanged, both ways", async ({ far, annotate }) => {
    await using guest = await far.guest();
    const agent = await guest.agent();
    for (let turn = 0; turn < 3; turn += 1) {
      const host = await roundTrip(far, far.host.agent);
      const { up, down } = await roundTrip(far, agent);
      await annotate(`up ${up} of ${host.up} Mbit/s, down ${down} of ${host.down}`, "measured");
    }
  });
});
