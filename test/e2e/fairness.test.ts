import { setTimeout as delay } from "node:timers/promises";
import { served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { Guest } from "../lab/guest.ts";
import { iperf3, startIperf3 } from "../lab/iperf3.ts";
import type { Lab } from "../lab/lab.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base.extend("server", { scope: "file" }, ({ lab }: { lab: Lab }) =>
  startIperf3(lab.world.root, served.services),
);

const directions = [
  ["up", []],
  ["down", ["--reverse"]],
  ["both ways", ["--bidir"]],
] as const;

/** Requests and answers until `load` ends; how many were done in each half second of it. */
async function transactions(mouse: Connection, load: Promise<unknown>): Promise<number[]> {
  const slots: number[] = [];
  let running = true;
  const ended = load.finally(() => {
    running = false;
  });
  const started = performance.now();
  while (running) {
    await mouse.write("ping");
    expect(await mouse.read(4)).toBe("ping");
    const slot = Math.floor((performance.now() - started) / 500);
    slots[slot] = (slots[slot] ?? 0) + 1;
  }
  await ended;
  return Array.from(slots, (count) => count ?? 0);
}

describe.each([1500, 65_520])("at MTU %i, a mouse beside elephants is never starved", (mtu) => {
  test.for(directions)("%s", async ([, options], { lab, server, annotate }) => {
    await using guest = await lab.guest({ mtu });
    const echo = await lab.world.agent.echo(served.services);
    const mouse = await (await guest.agent()).connect(echo);
    const alone = await transactions(mouse, delay(1_000));
    const load = iperf3(guest, server, 4, [...options, "--parallel", "4"]);
    const beside = await transactions(mouse, load);
    await annotate(`${await load} Mbit/s; transactions ${alone} alone, ${beside}`, "measured");
    // The last slot may be a fraction.
    for (const count of beside.slice(0, -1)) expect(count).toBeGreaterThan(0);
  });
});

/** Frames that the kernel had no room for in the queue towards the helper. */
async function dropped(guest: Guest): Promise<number> {
  const [link] = JSON.parse(
    await guest.namespace.output(["ip", "-json", "-s", "link", "show", "tap0"]),
  );
  return link.stats64.tx.dropped;
}

describe("small frames are not lost at the TAP", () => {
  test.for([
    ["one stream", ["--length", "100", "--no-delay"]],
    ["eight streams", ["--length", "100", "--no-delay", "--parallel", "8"]],
    ["eight streams both ways", ["--length", "100", "--no-delay", "--parallel", "8", "--bidir"]],
  ] as const)("%s", async ([, options], { lab, server, annotate }) => {
    await using guest = await lab.guest();
    const rate = await iperf3(guest, server, 3, options);
    const lost = await dropped(guest);
    await annotate(`${rate} Mbit/s, ${lost} frames dropped`, "measured");
    expect(lost).toBe(0);
  });
});
