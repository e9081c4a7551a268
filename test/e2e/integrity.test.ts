import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { GuestOptions } from "../lab/guest.ts";
import { iperf3, startIperf3 } from "../lab/iperf3.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway, node, root } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { test as base, describe, expect } from "./fixture.ts";

const flows = 24;
const size = 16 * 1024 * 1024;
const pauses = 20;

/** A program like `slirp4netns` for a TAP without virtio header; see plain-tap.ts. */
const test = base
  .extend("plainHelper", { scope: "file" }, async ({ lab }: { lab: Lab }) => {
    const directory = join(lab.directory, "plain");
    const outside = lab.host.stage.outside(directory);
    await mkdir(join(outside, "build"), { recursive: true });
    for (const file of ["build/tuntap2.node", "build/lwip.wasm"]) {
      await copyFile(join(root, "dist", file), join(outside, file));
    }
    await build({
      entryPoints: [join(root, "test/e2e/plain-tap.ts")],
      outfile: join(outside, "plain-tap.cjs"),
      bundle: true,
      platform: "node",
      format: "cjs",
      logLevel: "warning",
    });
    return [lab.host.stage.inside(node), join(directory, "plain-tap.cjs")];
  })
  .extend("server", { scope: "file" }, ({ lab }: { lab: Lab }) =>
    startIperf3(lab.world.root, served.services),
  );

/** The settings that the helper would have made. */
function prepared(mtu: number): string {
  return `
    ip tuntap add name tap0 mode tap
    ip -batch - <<END
link set lo up
link set tap0 up mtu ${mtu} txqueuelen 10000
address add 10.0.2.100/24 dev tap0
route add default via 10.0.2.2
END
  `;
}

/** Sends with pauses and closes, at once or when the peer, which does not wait itself, has closed. */
async function exchange(connection: Connection, waits: boolean) {
  const received = connection.receive(size, pauses);
  const sent = await connection.send(size, pauses);
  if (waits) await received;
  await connection.end();
  return { sent, received: await received };
}

describe.runIf(isSlipway).each([
  [1500, "with"],
  [1500, "without"],
  [65_520, "with"],
  [65_520, "without"],
] as const)("at MTU %i %s offload", (mtu, offload) => {
  test(`${flows} flows carry ${size / 1024 / 1024} MiB each way unchanged`, {
    timeout: 240_000,
  }, async ({ lab, plainHelper, server, annotate }) => {
    const options: GuestOptions =
      offload === "with"
        ? { mtu, options: ["--stats"] }
        : { mtu, prepare: prepared(mtu), helper: plainHelper, options: ["--stats"] };
    await using guest = await lab.guest(options);
    const up = await iperf3(guest, server, 1);
    const down = await iperf3(guest, server, 1, ["--reverse"]);
    const listener = await lab.world.agent.listen(served.services);
    const agent = await guest.agent();
    const started = performance.now();
    const exchanges = [];
    for (let i = 0; i < flows; i += 1) {
      const inside = await agent.connect(listener.endpoint);
      const outside = await listener.accept();
      const waiting = [undefined, inside, outside][i % 3];
      exchanges.push(Promise.all([inside, outside].map((end) => exchange(end, end === waiting))));
    }
    for (const [here, there] of await Promise.all(exchanges)) {
      expect(there.received).toEqual(here.sent);
      expect(here.received).toEqual(there.sent);
    }
    const seconds = (performance.now() - started) / 1_000;
    const figures = await finalFigures(guest);
    const total = Math.round((flows * size * 2 * 8) / seconds / 1e6);
    await annotate(`one stream ${up} up, ${down} down; all flows ${total} Mbit/s`, "measured");
    await annotate([...figures].map((figure) => figure.join(" ")).join("; "), "counters");
    if (offload === "without") expect(figures.get("tcp-superframes-out")).toBe(0);
    else expect(figures.get("tcp-superframes-out")).toBeGreaterThan(0);
  });
});
