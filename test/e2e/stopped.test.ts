import { type Guest, ready } from "../lab/guest.ts";
import { stateOf } from "../lab/process.ts";
import { helper, isSlipway } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Processes that are stopped (SIGSTOP), or that others wait for in vain: nobody waits for ever.

const test = base
  .extend("user", async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    onCleanup(() => user[Symbol.asyncDispose]());
    return user;
  })
  .runIf(isSlipway);

/** Processes that are stopped until they are disposed of. */
class Stopped implements AsyncDisposable {
  readonly pids: readonly number[];
  readonly #user: DaemonUser;

  private constructor(user: DaemonUser, pids: readonly number[]) {
    this.#user = user;
    this.pids = pids;
  }

  static async stop(user: DaemonUser, ...pids: readonly number[]): Promise<Stopped> {
    await user.lab.host.user.output(["kill", "-STOP", ...pids.map(String)]);
    for (const pid of pids) await eventually(async () => expect(stateOf(pid)).toBe("T"));
    return new Stopped(user, pids);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#user.lab.host.user.output(["kill", "-CONT", ...this.pids.map(String)]);
  }
}

/** proc_pid_stat(5). */
async function daemonOf(user: DaemonUser): Promise<{ pid: number; supervisor: number }> {
  const pid = Number(await user.ok("daemon", "status", "--format", "{{.pid}}"));
  const parent = await user.lab.host.user.output(["ps", "-o", "ppid=", "-p", `${pid}`]);
  return { pid, supervisor: Number(parent) };
}

const sentence = (pid: number, stopped: string | number) =>
  `the daemon (process ${pid}) does not answer, as it is stopped: kill -CONT ${stopped}, and try again`;

describe("a daemon that is stopped", () => {
  test("is told of by every command, and does nothing of it later", async ({ user, lab }) => {
    const { pid } = await daemonOf(user);
    await using namespace = await lab.host.namespace();
    const target = `${namespace.pid}`;
    const commands = [
      ["network", "ls"],
      ["network", "inspect", "web"],
      ["network", "create", "late"],
      ["network", "rm", "web"],
      ["network", "prune"],
      ["network", "connect", "web", target],
      ["network", "disconnect", "web", "a"],
      ["ps", "--json"],
      ["daemon", "start"],
      ["daemon", "status"],
      ["daemon", "stop"],
      ["run", "--network", "web", "--", "true"],
      ["run", "--network", "container:a", "--", "true"],
    ];
    {
      await using _ = await Stopped.stop(user, pid);
      const said = await Promise.all(commands.map((args) => user.refusal(...args)));
      expect(said).toEqual(commands.map(() => `1 slipway: ${sentence(pid, pid)}`));
    }
    const networks = await user.ok("network", "ls", "--format", "{{.Name}}");
    expect(networks).toContain("web\n");
    expect(networks).not.toContain("late");
    expect(await user.members()).toEqual([]);
    expect(await namespace.output(["ip", "-o", "link"])).not.toContain("eth0");
  });

  test("is told of by plugin and hook", async ({ user, lab }) => {
    const { pid } = await daemonOf(user);
    await using _ = await Stopped.stop(user, pid);
    const ask = (name: string, args: readonly string[], env: object, input: object) =>
      lab.host.user.run([lab.host.slipwayPath + name, ...args], {
        env: { ...user.env, ...env },
        input: JSON.stringify(input),
      });
    const conf = { cniVersion: "1.1.0", name: "n", type: "slipway-cni", network: "web" };
    const plugin = await ask("-cni", [], { CNI_COMMAND: "STATUS", CNI_PATH: "/x" }, conf);
    expect([plugin.code, JSON.parse(plugin.stdout)]).toMatchObject([
      1,
      { msg: sentence(pid, pid) },
    ]);
    const state = { id: "one", status: "stopped", pid: 0, bundle: "/nowhere" };
    const hook = await ask("", ["oci-hook"], {}, state);
    expect([hook.code, hook.stderr]).toEqual([1, `slipway: ${sentence(pid, pid)}\n`]);
  });

  test("is told of with its supervisor, without which it would not go on", async ({ user }) => {
    const { pid, supervisor } = await daemonOf(user);
    await using _ = await Stopped.stop(user, pid, supervisor);
    for (const args of [["ps"], ["daemon", "status"]]) {
      const said = sentence(pid, `${supervisor} ${pid}`);
      expect(await user.refusal(...args)).toBe(`1 slipway: ${said}`);
    }
  });

  test("is told of where no more clients may wait", async ({ user, lab }) => {
    await user.ok("daemon", "stop");
    await lab.host.root.shell("echo 1 > /proc/sys/net/core/somaxconn");
    await user.ok("daemon", "start");
    await lab.host.root.shell("echo 4096 > /proc/sys/net/core/somaxconn");
    const { pid } = await daemonOf(user);
    await using _ = await Stopped.stop(user, pid);
    const commands = [["daemon", "status"], ["ps"]].flatMap((args) => [args, args, args, args]);
    const said = await Promise.all(commands.map((args) => user.refusal(...args)));
    expect(said).toEqual(commands.map(() => `1 slipway: ${sentence(pid, pid)}`));
  });

  test("does not hold the end of a run, nor its own", async ({ user, lab }) => {
    const run = lab.host.slipway(
      ["run", "--network", "web", "--", "sh", "-c", "echo up; read line; exit 7"],
      { env: user.env, stdin: "pipe" },
    );
    await run.printed(/up/);
    const { pid, supervisor } = await daemonOf(user);
    {
      await using _ = await Stopped.stop(user, pid);
      run.child.stdin?.end("\n");
      expect((await run.ended(20_000)).code).toBe(7);
    }
    await eventually(async () => expect(await user.members()).toEqual([]));
    await lab.host.user.output(["kill", "-STOP", `${pid}`]);
    await lab.host.user.output(["kill", `${supervisor}`]);
    await eventually(async () => {
      expect((await lab.host.user.run(["test", "-e", `/proc/${pid}`])).code).toBe(1);
    });
  });

  test("does not serve in shared mode: a process of its own does, and says so", async ({
    user,
    lab,
  }) => {
    const { pid } = await daemonOf(user);
    const env = Object.entries({ ...user.env, SLIPWAY_SHARED: "1" });
    let guest: Guest;
    {
      await using _ = await Stopped.stop(user, pid);
      guest = await lab.guest({
        helper: [
          "env",
          ...env.map(([name, value]) => `${name}=${value}`),
          lab.host.stage.inside(helper),
        ],
      });
      expect(guest.helper.stderr).toBe(
        `slirp4netns: warning: --shared: a process of its own serves the guest: ${sentence(pid, pid)}\n`,
      );
    }
    await user.ok("daemon", "status");
    expect(await guest.namespace.output(["ip", "-o", "link", "show", "tap0"])).toContain("UP");
    await guest.close();
  });
});

test("what a client asked that has gone does not happen when the daemon goes on", async ({
  user,
  lab,
}) => {
  const { pid } = await daemonOf(user);
  const socket = `${user.directory}/daemon/api.sock`;
  const client = lab.host.user.spawn(["socat", "-", `UNIX:${socket}`], { stdin: "pipe" });
  const ask = (method: string, params: object): void => {
    client.child.stdin?.write(`${JSON.stringify({ v: 4, method, params })}\n`);
  };
  ask("status", {});
  // It is accepted.
  await client.printed(/"result"/);
  {
    await using _ = await Stopped.stop(user, pid);
    ask("network.create", { name: "late" });
    // socat has sent it when it has seen the end of its input.
    client.child.stdin?.end();
    await client.ended(10_000);
  }
  expect(await user.ok("network", "ls", "--format", "{{.Name}}")).not.toContain("late");
});

test("a client that is stopped holds nobody up", async ({ user, lab }) => {
  await using namespace = await lab.host.namespace();
  const connect = lab.host.slipway(["network", "connect", "web", `${namespace.pid}`], {
    env: user.env,
  });
  // Wherever it is by now.
  connect.kill("SIGSTOP");
  await user.ok("network", "create", "other");
  await using _other = (await user.member("web", "b")).namespace;
  connect.kill("SIGCONT");
  expect((await connect.ended(20_000)).code).toBe(0);
  expect(await user.members()).toHaveLength(2);
});

test("a guest whose process is stopped is told of, and others are shown", async ({ user, lab }) => {
  const attach = async () => {
    const namespace = await lab.host.namespace();
    const attached = lab.host.slipway(["attach", "--ready-fd", "3", `${namespace.pid}`], {
      env: user.env,
      pipes: [3],
    });
    await ready(attached, 3);
    return { namespace, attached, pid: attached.pid };
  };
  const [one, other] = [await attach(), await attach()];
  {
    await using _ = await Stopped.stop(user, one.pid);
    const socket = `${user.directory}/${one.pid}.sock`;
    const said = `slipway: the network at ${socket} (process ${one.pid}) does not answer, as it is stopped: kill -CONT ${one.pid}, and try again`;
    const status = await user.command("status", "--json");
    expect(JSON.parse(status.stdout)).toMatchObject([{ pid: other.pid }]);
    expect([status.code, status.stderr]).toEqual([1, `${said}\n`]);
    for (const command of [["flows"], ["port", "ls"], ["port", "add", "8080:80"]]) {
      expect(await user.refusal(...command, "-a", `${one.pid}`)).toBe(`1 ${said}`);
    }
  }
  expect(JSON.parse(await user.ok("status", "--json"))).toHaveLength(2);
  // What runs without the daemon is shown where that is stopped.
  const { pid } = await daemonOf(user);
  {
    await using _ = await Stopped.stop(user, pid);
    const { code, stdout, stderr } = await user.command("status", "--json");
    expect([code, stderr]).toEqual([0, expect.stringContaining(sentence(pid, pid))]);
    expect(JSON.parse(stdout)).toHaveLength(2);
  }
  for (const { attached, namespace } of [one, other]) {
    attached.kill("SIGTERM");
    await attached.ended(10_000);
    await namespace.release();
  }
});

test("so is one that is named, whose socket does not say its process", async ({ user, lab }) => {
  const run = lab.host.slipway(["run", "--name", "lone", "--", "sh", "-c", "echo up; read line"], {
    env: user.env,
    stdin: "pipe",
  });
  await run.printed(/up/);
  {
    await using _ = await Stopped.stop(user, run.pid);
    expect(await user.refusal("port", "ls", "--name", "lone")).toBe(
      `1 slipway: the network at ${user.directory}/lone.sock (process ${run.pid}) does not answer, as it is stopped: kill -CONT ${run.pid}, and try again`,
    );
  }
  expect(await user.ok("port", "ls", "--name", "lone")).toMatch(/^ID/);
  run.child.stdin?.end("\n");
  await run.ended(10_000);
});
