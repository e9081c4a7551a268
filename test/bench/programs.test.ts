/** The bench's own programs, compiled and run: the guard, and the load on plain loopback. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { createHosts } from "../../bench/hosts.ts";
import { Launcher } from "../../bench/launch.ts";
import { compilePrograms } from "../../bench/programs.ts";
import { loopbackTestbed } from "../../bench/testbed.ts";
import {
  holdingFlows,
  measureConnections,
  measureDatagrams,
  measureFlows,
  measureTransactions,
} from "../../bench/workloads/load.ts";

const directory = mkdtempSync(join(tmpdir(), "slipway-bench-test-"));
chmodSync(directory, 0o755);
afterAll(() => rmSync(directory, { recursive: true }));

const programs = compilePrograms(directory);
const launcher = new Launcher(programs.guard);

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EPERM") return true;
    return false;
  }
}

describe("guard", () => {
  it("passes lines both ways and ends the program when it is let go", async () => {
    const cat = launcher.start(["cat"]);
    const pid = await cat.pid();
    cat.send("hello");
    expect(await cat.line()).toBe("hello");
    expect(exists(pid)).toBe(true);
    await cat[Symbol.asyncDispose]();
    expect(exists(pid)).toBe(false);
  });

  it("ends a program that ignores SIGTERM", async () => {
    const stubborn = launcher.start(["sh", "-c", "trap '' TERM; echo deaf; read line"]);
    const pid = await stubborn.pid();
    await stubborn.line();
    await stubborn[Symbol.asyncDispose]();
    expect(exists(pid)).toBe(false);
  });

  it("takes the time until the program says that it is ready", async () => {
    await using program = launcher.startTimed(["sh", "-c", "sleep 0.1; echo >&3; cat"]);
    expect(await program.ready()).toBeGreaterThanOrEqual(100);
  });

  it("tells a program that ends unready from a ready one, with its last words", async () => {
    await using program = launcher.startTimed(["sh", "-c", "echo no tap >&2; exit 3"]);
    await program.pid();
    await expect(program.ready()).rejects.toThrow(/sh: ended before it was ready: .*no tap/);
  });

  it("passes on the exit status and the name of what cannot be run", async () => {
    await expect(launcher.run(["/no/such/program"])).rejects.toThrow(
      /exit status 127: \/no\/such\/program: No such file/,
    );
  });

  it("runs programs with the signals that a shell would give them", async () => {
    const status = await launcher.run(["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]);
    expect(status.match(/\t0{16}/g)).toHaveLength(2);
  });
});

describe("load", () => {
  const bed = loopbackTestbed({ launcher, programs, directory });

  it.each([
    ["transactions", () => measureTransactions(bed, 0.05)],
    ["connections with a byte", () => measureConnections(bed, 0.05, true)],
    ["connections without", () => measureConnections(bed, 0.05, false)],
    ["40 flows", () => measureFlows(bed, 0.05, 40, 8)],
    ["as many flows as requests", () => measureFlows(bed, 0.05, 8, 8)],
  ])("measures %s", async (_, measure) => {
    const { rate = 0, p50 = 0, p99 = 0 } = await measure();
    expect(rate).toBeGreaterThan(0);
    expect(p50).toBeGreaterThan(0);
    expect(p99).toBeGreaterThanOrEqual(p50);
  });

  it.each([
    { direction: "up", size: 1400, segments: 1 },
    { direction: "down", size: 64, segments: 1 },
    { direction: "up", size: 1400, segments: 46 },
    { direction: "down", size: 1400, segments: 46 },
  ] as const)("finds the loss-free rate of %o", async (workload) => {
    const { rate = 0 } = await measureDatagrams(bed, 0.1, { kind: "datagrams", ...workload });
    expect(rate).toBeGreaterThan(0);
  });

  it("holds flows while something else is done", async () => {
    expect(await holdingFlows(bed, 50, async () => "done")).toBe("done");
  });

  it("fails with the reason when nobody listens", async () => {
    const nobody = [programs.load, "transactions", "127.0.0.1", "1", "1"];
    await expect(launcher.run(nobody)).rejects.toThrow("connect: Connection refused");
  });
});

describe("hosts", () => {
  const workshop = { launcher, programs, directory };
  const link = { delayMs: 20, lossPercent: 0, reorderPercent: 0 };

  it.each([
    ["a veth pair", undefined, 0],
    ["a link with delay", link, 40],
  ])("are joined by %s", async (_, link, leastMs) => {
    await using hosts = await createHosts(workshop, link);
    const ping = hosts.a.namespace.inside(["ping", "-c", "2", "-i", "0.2", hosts.b.address]);
    const [, , least] = /= ([\d.]+)\/([\d.]+)/.exec(await launcher.run(ping)) ?? [];
    expect(Number(least)).toBeGreaterThanOrEqual(leastMs);
  });

  it("tell when a name is known and its address answers", async () => {
    await using hosts = await createHosts(workshop, undefined);
    const { a, b } = hosts;
    await using reach = launcher.start(
      a.namespace.inside([programs.load, "reach", b.address, "53"]),
    );
    await reach.line();
    const before = process.hrtime.bigint();
    reach.send("later");
    await delay(100);
    const began = process.hrtime.bigint();
    const files = ["--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts"];
    const serve = ["dnsmasq", "--no-daemon", ...files, `--host-record=later,${b.address}`];
    await using _server = launcher.start(b.namespace.inside(serve));
    const reached = BigInt(await reach.line());
    expect(reached).toBeGreaterThan(began);
    expect(reached).toBeGreaterThan(before);
    expect(reached).toBeLessThan(process.hrtime.bigint());
  });
});
