import { served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { Guest } from "../lab/guest.ts";
import { iperf3, startIperf3 } from "../lab/iperf3.ts";
import type { Lab } from "../lab/lab.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base.extend("server", { scope: "file" }, ({ lab }: { lab: Lab }) =>
  startIperf3(lab.world.root, served.services),
);

/** Bytes after which elephants are at full speed. */
const ELEPHANTINE = 16 * 1024 * 1024;

const directions = [
  ["up", []],
  ["down", ["--reverse"]],
  ["both ways", ["--bidir"]],
] as const;

/** A mouse's requests, each with its answer. */
const TRANSACTIONS = 500;
/** An hour, in seconds: elephants run until stopped. */
const ENDLESS = "3600";

/** @returns how long they took, in ms */
async function transactions(mouse: Connection): Promise<number> {
  const started = performance.now();
  for (let done = 0; done < TRANSACTIONS; done += 1) {
    await mouse.write("ping");
    expect(await mouse.read(4)).toBe("ping");
  }
  return Math.round(performance.now() - started);
}

interface Traffic {
  /** of the guest's TAP */
  readonly bytes: number;
  /** frames that did not fit the kernel's queue towards the helper */
  readonly dropped: number;
  /** frames that the queue holds */
  readonly txqlen: number;
}

async function trafficOf(guest: Guest): Promise<Traffic> {
  const argv = ["ip", "-json", "-s", "link", "show", "tap0"];
  const [{ stats64, txqlen }] = JSON.parse(await guest.namespace.output(argv));
  const { rx, tx } = stats64;
  return { bytes: rx.bytes + tx.bytes, dropped: tx.dropped, txqlen };
}

describe.each([1500, 65_520])("at MTU %i, elephants never starve a mouse", (mtu) => {
  test.for(directions)("%s", async ([, options], { lab, server, annotate }) => {
    await using guest = await lab.guest({ mtu });
    const echo = await lab.world.agent.echo(served.services);
    const mouse = await (await guest.agent()).connect(echo);
    const alone = await transactions(mouse);
    const to = ["--client", server.address, "--port", `${server.port}`, "--time", ENDLESS];
    const elephants = guest.spawn(["iperf3", ...to, "--parallel", "4", ...options]);
    const moved = async () => (await trafficOf(guest)).bytes;
    await expect.poll(moved).toBeGreaterThan(ELEPHANTINE);
    const before = await moved();
    const beside = await transactions(mouse);
    const during = (await moved()) - before;
    expect(elephants.running).toBe(true);
    expect(during).toBeGreaterThan(0);
    elephants.kill("SIGKILL");
    await elephants.exit;
    const text = `${beside} ms beside ${Math.round(during / 1e6)} MB of theirs, ${alone} ms alone`;
    await annotate(`${TRANSACTIONS} transactions: ${text}`, "measured");
  });
});

// How many are lost depends on how long the helper waits for a processor: the test reports it.
describe("small frames fit the TAP's queue", () => {
  test.for([
    ["one stream", ["--length", "100", "--no-delay"]],
    ["eight streams both ways", ["--length", "100", "--no-delay", "--parallel", "8", "--bidir"]],
  ] as const)("%s", async ([, options], { lab, server, annotate }) => {
    await using guest = await lab.guest();
    const rate = await iperf3(guest, server, 2, options);
    const { txqlen, dropped } = await trafficOf(guest);
    await annotate(`${rate} Mbit/s, ${dropped} frames dropped`, "measured");
    expect(txqlen).toBe(10_000);
  });
});
