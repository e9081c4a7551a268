import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { link, served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { Lab } from "../lab/lab.ts";
import { isOpenToTests } from "../lab/process.ts";
import { isSlipway, node, root } from "../lab/product.ts";
import { corruptStacks, stackMemories } from "./corrupt.ts";
import { DaemonUser, eventually, type Member } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

const isTestable = isSlipway && availableParallelism() > 1;
const test = base.runIf(isTestable);

const MEBIBYTE = 1024 * 1024;

const SERVE = ["sh", "-c", "echo up; exec socat TCP-LISTEN:93,fork,reuseaddr SYSTEM:'echo here'"];

async function daemonPid(user: DaemonUser): Promise<number> {
  return Number(await user.ok("daemon", "status", "--format", "{{.pid}}"));
}

/** The threads of a daemon that serve networks. */
function threadsOf(pid: number): number[] {
  const threads = readdirSync(`/proc/${pid}/task`).map(Number);
  return threads.filter((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8") === "slipway-network\n";
    } catch {
      // The thread has ended meanwhile.
      return false;
    }
  });
}

/** Processor time of each thread, in ticks: utime and stime of proc_pid_stat(5). */
function ticksOf(pid: number, threads: readonly number[]): number[] {
  return threads.map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
}

async function transfer(from: Member, to: Member, bytes: number): Promise<void> {
  const listener = await to.agent.listen(to.addresses.v4);
  const outgoing = await from.agent.connect(listener.endpoint);
  const incoming = await listener.accept();
  const received = incoming.receive();
  const sent = await outgoing.send(bytes);
  await outgoing.end();
  expect(await received).toEqual(sent);
}

/** A connection of a member to the outside, through its own stack. */
async function outward(lab: Lab, { agent }: Member): Promise<[Connection, Connection]> {
  const listener = await lab.world.agent.listen(served.services);
  const inside = await agent.connect(listener.endpoint);
  return [inside, await listener.accept()];
}

async function expectAnswer([inside, outside]: readonly [Connection, Connection]): Promise<void> {
  await inside.write("question");
  expect(await outside.read(8)).toBe("question");
  await outside.write("answer");
  expect(await inside.read(6)).toBe("answer");
}

/** A copy of Slipway whose threads fail when they find a file with their number, and the directory of these files. */
function installFault(lab: Lab): { slipway: string; kill: (thread: number) => void } {
  const copy = join(lab.directory, "faulty");
  const outside = lab.host.stage.outside(copy);
  mkdirSync(join(outside, "bin"), { recursive: true });
  cpSync(join(root, "bin/slipway"), join(outside, "bin/slipway"));
  cpSync(join(root, "dist"), join(outside, "dist"), { recursive: true });
  const bundle = join(outside, "dist/daemon.cjs");
  writeFileSync(bundle, readFileSync(bundle, "latin1").replace("{", `{${FAULT}`), "latin1");
  const kill = (thread: number) => writeFileSync(join(outside, `dist/die-${thread}`), "");
  return { slipway: join(copy, "bin/slipway"), kill };
}

const FAULT = `
  const { isMainThread, threadId } = process.getBuiltinModule("node:worker_threads");
  if (!isMainThread) setInterval(() => {
    try {
      process.getBuiltinModule("node:fs").readFileSync(__dirname + "/die-" + threadId);
    } catch {
      return;
    }
    throw new Error("a fault of a test");
  }, 20);
`;

describe("networks with members", () => {
  test("are served by another thread when theirs dies, and other networks are not affected", async ({
    lab,
  }) => {
    await using user = await DaemonUser.create(lab);
    const { slipway, kill } = installFault(lab);
    const env = { ...user.env, SLIPWAY_NODE: lab.host.stage.inside(node) };
    await lab.host.user.output([slipway, "daemon", "start"], { env });
    for (const name of ["struck", "spared"]) await user.ok("network", "create", name);
    const pid = await daemonPid(user);
    const stays = await user.member("struck", "stays");
    const [struck] = threadsOf(pid);
    const run = user.run("--network", "struck", "--name", "runs", "-p", "8093:93", "--", ...SERVE);
    await run.printed(/up/);
    const spared = await outward(lab, await user.member("spared", "bystander"));
    const [other] = threadsOf(pid).filter((thread) => thread !== struck);
    kill(1);
    await expect.poll(() => threadsOf(pid), { timeout: 30_000 }).not.toContain(struck);
    // The command joins again by itself.
    await eventually(async () => {
      const [, runs] = [
        await user.addressesOf("stays", "struck"),
        await user.addressesOf("runs", "struck"),
      ];
      const ask = ["socat", "-T5", "-"];
      expect(await stays.namespace.output([...ask, `TCP:${runs.v4}:93`])).toBe("here\n");
      expect(await stays.namespace.output([...ask, "TCP:runs:93"])).toBe("here\n");
      expect(await lab.world.root.output([...ask, `TCP:${link.host}:8093`])).toBe("here\n");
    });
    await expectAnswer(spared);
    expect(threadsOf(pid)).toContain(other);
    expect(await daemonPid(user)).toBe(pid);
    run.kill("SIGTERM");
    await run.ended(10_000);
  });

  test("have a thread each, which ends when they have no members", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    for (const name of ["left", "right"]) await user.ok("network", "create", name);
    const pid = await daemonPid(user);
    expect(threadsOf(pid)).toEqual([]);
    const left = [await user.member("left", "l1"), await user.member("left", "l2")] as const;
    expect(threadsOf(pid)).toHaveLength(1);
    const right = [await user.member("right", "r1"), await user.member("right", "r2")] as const;
    const threads = threadsOf(pid);
    expect(threads).toHaveLength(2);

    /** The thread that uses the most processor time meanwhile. */
    const busiest = async (work: Promise<void>): Promise<number> => {
      const before = ticksOf(pid, threads);
      await work;
      const spent = ticksOf(pid, threads).map((ticks, index) => ticks - before[index]);
      expect(Math.max(...spent)).toBeGreaterThan(Math.min(...spent));
      return spent.indexOf(Math.max(...spent));
    };
    const forLeft = await busiest(transfer(...left, 256 * MEBIBYTE));
    const forRight = await busiest(transfer(...right, 256 * MEBIBYTE));
    expect(forLeft).not.toBe(forRight);

    await Promise.all([...left, ...right].map(({ namespace }) => namespace.release()));
    await expect.poll(() => threadsOf(pid), { timeout: 30_000 }).toEqual([]);
    // The next member gets a thread again.
    const late = await user.member("left", "late");
    await late.namespace.output(["ping", "-c", "1", "-W", "5", gatewayOf(late)]);
  });

  base.runIf(isTestable && isOpenToTests)(
    "lose nothing by a trap in the stack of another network's member",
    async ({ lab }) => {
      await using user = await DaemonUser.create(lab);
      for (const name of ["hit", "calm"]) await user.ok("network", "create", name);
      const pid = await daemonPid(user);
      const victim = await user.member("hit", "victim");
      const memories = await stackMemories(lab, pid);
      expect(memories.length).toBeGreaterThan(0);
      const bystander = await user.member("calm", "bystander");
      const ends = await outward(lab, bystander);
      const [inside, outside] = await outward(lab, victim);
      await corruptStacks(lab, pid, memories);
      await inside.write("into the void").catch(() => undefined);
      expect(await outside.closed()).toBe("ECONNRESET");
      await expectAnswer(ends);
      await expectAnswer(await outward(lab, victim));
      expect(threadsOf(pid)).toHaveLength(2);
    },
  );

  test("are answered while another network's members transfer at full rate", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    for (const name of ["loud", "quiet"]) await user.ok("network", "create", name);
    const loud = [await user.member("loud", "source"), await user.member("loud", "sink")] as const;
    const [one, two] = [await user.member("quiet", "one"), await user.member("quiet", "two")];
    const echo = await two.agent.echo(two.addresses.v4);
    const asking = await one.agent.connect(echo);
    let isRunning = true;
    const load = transfer(...loud, 512 * MEBIBYTE).finally(() => {
      isRunning = false;
    });
    let answered = 0;
    while (isRunning || answered < 100) {
      await asking.write("ping");
      expect(await asking.read(4)).toBe("ping");
      answered += 1;
    }
    await load;
  });
});

function gatewayOf({ addresses }: Member): string {
  return addresses.v4.replace(/\.\d+$/, ".1");
}
