import { httpName } from "../lab/addresses.ts";
import { ready } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { test as base, describe, expect } from "./fixture.ts";

// No peer has this command.
const test = base.runIf(isSlipway);

async function attach(lab: Lab, ...args: string[]): Promise<Process> {
  const process = lab.host.slipway(["attach", "--ready-fd", "3", ...args], { pipes: [3] });
  await ready(process, 3);
  return process;
}

test("a namespace named by a process gets the network", async ({ lab }) => {
  await using namespace = await lab.host.namespace();
  const process = await attach(lab, `${namespace.pid}`);
  await namespace.output(["curl", "-sS", "-m", "20", `http://${httpName}/`]);
  expect(process.running).toBe(true);
  process.kill("SIGTERM");
  await process.ended(10_000);
});

test("a namespace named by a path gets the network, on the TAP of that name", async ({ lab }) => {
  await using namespace = await lab.host.namespace();
  const process = await attach(lab, "--mtu=9000", `/proc/${namespace.pid}/ns/net`, "net0");
  expect(await namespace.output(["ip", "link", "show", "net0"])).toContain("mtu 9000");
  await namespace.output(["curl", "-sS", "-m", "20", `http://${httpName}/`]);
  process.kill("SIGINT");
  await process.ended(10_000);
});

describe("it ends", () => {
  test("when the process that it was given ends", async ({ lab, annotate }) => {
    const namespace = await lab.host.namespace();
    const process = await attach(lab, `${namespace.pid}`);
    await namespace.release();
    const { elapsedMs } = await process.ended(10_000);
    await annotate(`${Math.round(elapsedMs)} ms`, "measured");
  });

  test.for(["SIGTERM", "SIGINT"] as const)("on %s", async (signal, { lab, annotate }) => {
    await using namespace = await lab.host.namespace();
    const process = await attach(lab, `${namespace.pid}`);
    process.kill(signal);
    const { elapsedMs } = await process.ended(10_000);
    await annotate(`${Math.round(elapsedMs)} ms`, "measured");
    await expect.poll(() => namespace.output(["ip", "-oneline", "link"])).not.toContain("tap0");
  });
});

test("attach fails when its TAP is deleted", async ({ lab }) => {
  await using namespace = await lab.host.namespace();
  const process = await attach(lab, `/proc/${namespace.pid}/ns/net`);
  await namespace.output(["ip", "link", "delete", "tap0"]);
  const { code, stderr } = await process.ended(10_000);
  expect(stderr).toBe("slipway: tap0: the TAP was deleted: the network of the namespace is gone\n");
  expect(code).toBe(1);
});

test("many guests run at once, each with its own helper", async ({ lab }) => {
  const namespaces = await Promise.all(Array.from({ length: 5 }, () => lab.host.namespace()));
  const processes = await Promise.all(namespaces.map(({ pid }) => attach(lab, `${pid}`)));
  await Promise.all(
    namespaces.map((it) => it.output(["curl", "-sS", "-m", "10", `http://${httpName}/`])),
  );
  for (const process of processes) process.kill("SIGTERM");
  await Promise.all(processes.map((process) => process.ended(10_000)));
  await Promise.all(namespaces.map((namespace) => namespace.release()));
});
