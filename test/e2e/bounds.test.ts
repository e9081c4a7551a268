import { served } from "../lab/addresses.ts";
import type { Agent, Connection } from "../lab/agent/client.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { describe, expect, test } from "./fixture.ts";

const mebibyte = 1024 * 1024;

async function connections(lab: Lab, agent: Agent, count: number): Promise<Ends[]> {
  await using listener = await lab.world.agent.listen(served.services);
  const ends: Ends[] = [];
  for (let i = 0; i < count; i += 1) {
    const inside = await agent.connect(listener.endpoint);
    ends.push({ inside, outside: await listener.accept() });
  }
  return ends;
}

interface Ends {
  readonly inside: Connection;
  readonly outside: Connection;
}

/**
 * Sends on each connection until no buffer on the way accepts more, and returns by how many MiB the
 * helper grew; then the readers read everything.
 */
async function stall(guest: Guest, pairs: { from: Connection; to: Connection }[]): Promise<number> {
  const before = guest.helper.memory().privateDirty;
  const limit = 512 * mebibyte;
  const taken = await Promise.all(pairs.map(({ from }) => from.fill(limit)));
  const grown = (guest.helper.memory().privateDirty - before) / 1024;
  for (const bytes of taken) expect(bytes).toBeLessThan(limit);
  await Promise.all(
    pairs.map(async ({ from, to }, i) => {
      await from.end();
      expect((await to.receive()).bytes).toBeGreaterThan(taken[i]);
    }),
  );
  return grown;
}

describe("memory stays bounded while nobody reads", () => {
  // A few buffers for each connection, whatever the peer offers.
  const boundMiB = 48;

  test("in the guest", async ({ lab, annotate }) => {
    await using guest = await lab.guest();
    const ends = await connections(lab, await guest.agent(), 4);
    const pairs = ends.map(({ inside, outside }) => ({ from: outside, to: inside }));
    const grown = await stall(guest, pairs);
    await annotate(`grew by ${grown.toFixed(1)} MiB`, "measured");
    expect(grown).toBeLessThan(boundMiB);
  });

  test("in the world", async ({ lab, annotate }) => {
    await using guest = await lab.guest();
    const ends = await connections(lab, await guest.agent(), 4);
    const pairs = ends.map(({ inside, outside }) => ({ from: inside, to: outside }));
    const grown = await stall(guest, pairs);
    await annotate(`grew by ${grown.toFixed(1)} MiB`, "measured");
    expect(grown).toBeLessThan(boundMiB);
  });
});

test("every descriptor is closed after its connection, however the connection ended", async ({
  lab,
}) => {
  await using guest = await lab.guest();
  const agent = await guest.agent();
  const baseline = guest.helper.openDescriptors();
  for (let round = 0; round < 10; round += 1) {
    await endInTurn(await connections(lab, agent, 10));
    await agent.refusal({ address: served.services, port: 9 });
  }
  await expect.poll(() => guest.helper.openDescriptors()).toBe(baseline);
});

/** Ends connections in every possible way. */
async function endInTurn(ends: Ends[]): Promise<void> {
  const ways = [
    ({ inside }: Ends) => inside.close(),
    ({ outside }: Ends) => outside.close(),
    ({ inside }: Ends) => inside.reset(),
    ({ outside }: Ends) => outside.reset(),
    ({ inside }: Ends) => inside.end(),
  ];
  await Promise.all(ends.map((pair, i) => ways[i % ways.length](pair)));
  await Promise.all(ends.flatMap(({ inside, outside }) => [inside.close(), outside.close()]));
}
