import { link, served } from "../lab/addresses.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// How members come to networks and leave them while they run.

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    for (const [index, name] of ["one", "two"].entries()) {
      await user.ok("network", "create", name, "--subnet", `10.90.${index}.0/24`);
    }
    return user;
  })
  .runIf(isSlipway);

/** A member on the networks `one` and `two`, in this order. */
interface Running extends AsyncDisposable {
  readonly name: string;
  /** The PID by which the user knows it. */
  readonly pid: number;
  /** Runs a command in its namespaces. */
  inside(...argv: string[]): Promise<string>;
}

interface RunningRun extends Running {
  kill(signal: NodeJS.Signals): void;
}

let serial = 0;

async function commandOf(user: DaemonUser, name: string): Promise<number> {
  const pid = (await user.members()).find((member) => member.name === name)?.pid;
  if (pid === undefined || pid === null) throw new Error(`${name} has no process`);
  return pid;
}

const wait = "exec sleep 4325";

async function byRun(user: DaemonUser, script = wait, ...options: string[]): Promise<RunningRun> {
  serial += 1;
  const name = `run${serial}`;
  const networks = ["--network", "one", "--network", "two"];
  const command = ["--", "sh", "-c", `echo up; ${script}`];
  const run = user.run(...networks, "--name", name, ...options, ...command);
  await run.printed(/up/);
  const pid = await commandOf(user, name);
  const namespaces = ["--user", "--mount", "--net", "--preserve-credentials"];
  return {
    name,
    pid: run.pid,
    kill: (signal) => run.kill(signal),
    inside: (...argv) =>
      user.lab.host.user.output(["nsenter", "--target", `${pid}`, ...namespaces, "--", ...argv]),
    [Symbol.asyncDispose]: async () => {
      run.kill("SIGKILL");
      await run.exit;
    },
  };
}

async function byConnect(user: DaemonUser): Promise<Running> {
  serial += 1;
  const name = `connected${serial}`;
  const { namespace } = await user.member("one", name);
  await user.ok("network", "connect", "two", `${namespace.pid}`);
  return {
    name,
    pid: namespace.pid,
    inside: (...argv) => namespace.output(argv),
    [Symbol.asyncDispose]: () => namespace.release(),
  };
}

const kinds: readonly (readonly [string, (user: DaemonUser) => Promise<Running>])[] = [
  ["run", (user) => byRun(user)],
  ["network connect", byConnect],
];

/** Its interfaces, each with its network, and the gateways of its default routes in the order of preference. */
async function placeOf({ inside }: Running): Promise<string> {
  const addresses = await inside("ip", "-o", "-4", "address", "show", "scope", "global");
  const interfaces = [...addresses.matchAll(/^\d+: (\S+) +inet 10\.90\.(\d)/gm)];
  const routes = await inside("ip", "-4", "route", "show", "default");
  return [
    ...interfaces.map(([, ifname, network]) => `${ifname} ${network}`).sort(),
    ...[...routes.matchAll(/via (\S+)/g)].map(([, gateway]) => gateway),
  ].join(", ");
}

/** The run must not be back, so it is stopped. */
async function restartWithout(user: DaemonUser, member: RunningRun): Promise<void> {
  member.kill("SIGSTOP");
  await user.ok("daemon", "stop");
  await user.ok("daemon", "start");
}

describe("a member made by", () => {
  test.for(kinds)(
    "%s leaves networks and comes back, by name and by PID",
    async ([, start], { user }) => {
      await using member = await start(user);
      const fetch = ["curl", "-s", "-o", "/dev/null", `http://${served.http}/`];
      expect(await placeOf(member)).toBe("eth0 0, eth1 1, 10.90.0.1, 10.90.1.1");
      expect(await user.ok("network", "disconnect", "one", member.name)).toBe("");
      expect(await placeOf(member)).toBe("eth1 1, 10.90.1.1");
      await member.inside(...fetch);
      // Its resolv.conf still has the name server of the network that it has left.
      const asked = ["dig", "+short", "+tries=1", "@10.90.0.1", "world.example"];
      expect(await member.inside(...asked)).toBe(`${served.http}\n`);
      await user.ok("network", "connect", "one", `${member.pid}`);
      expect(await placeOf(member)).toBe("eth0 0, eth1 1, 10.90.0.1, 10.90.1.1");
      await user.ok("network", "disconnect", "two", `${member.pid}`);
      expect(await placeOf(member)).toBe("eth0 0, 10.90.0.1");
      await member.inside(...fetch);
      await user.ok("network", "connect", "two", member.name);
      expect(await placeOf(member)).toBe("eth0 0, eth1 1, 10.90.0.1, 10.90.1.1");
    },
  );

  test("run on no network any more has lo alone, its name, and networks again", async ({
    user,
  }) => {
    await using member = await byRun(user);
    for (const network of ["one", "two"])
      await user.ok("network", "disconnect", network, member.name);
    expect(await member.inside("ip", "-brief", "link")).toMatch(/^lo +UNKNOWN [^\n]*\n$/);
    expect(await user.refusal("network", "disconnect", "one", member.name)).toContain(
      `${member.name} is not on network one: it is on no network`,
    );
    await user.ok("network", "connect", "two", member.name);
    expect(await placeOf(member)).toBe("eth0 1, 10.90.1.1");
  });

  test("run has the same networks after the daemon is killed", async ({ user }) => {
    await using member = await byRun(user);
    await user.ok("network", "create", "later", "--subnet", "10.90.2.0/24");
    await user.ok("network", "disconnect", "one", member.name);
    await user.ok("network", "connect", "later", member.name, "--alias", "late");
    const before = await placeOf(member);
    expect(before).toBe("eth0 2, eth1 1, 10.90.2.1, 10.90.1.1");
    const addresses = await user.addressesOf(member.name, "later");
    await user.kill();
    await eventually(async () => {
      expect(await user.addressesOf(member.name, "later")).toEqual(addresses);
      expect(await member.inside("dig", "+short", "+tries=1", "@10.90.2.1", "late")).toBe(
        `${addresses.v4}\n`,
      );
    });
    const [own] = (await user.members()).filter(({ name }) => name === member.name);
    expect(own?.networks.map(({ network }) => network)).toEqual(["two", "later"]);
    expect(await placeOf(member)).toBe(before);
  });

  test("run stays away from a network that it was disconnected from before it was back", async ({
    user,
  }) => {
    await using member = await byRun(user);
    await restartWithout(user, member);
    await user.ok("network", "disconnect", "one", member.name);
    member.kill("SIGCONT");
    await eventually(async () => expect(await placeOf(member)).toBe("eth1 1, 10.90.1.1"));
    const [own] = (await user.members()).filter(({ name }) => name === member.name);
    expect(own?.networks.map(({ network }) => network)).toEqual(["two"]);
  });

  test("run keeps its ports published as long as a network leads outside", async ({
    user,
    lab,
  }) => {
    const serve = "exec socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:'echo served'";
    await using member = await byRun(user, serve, "-p", "8075:80");
    const ask = () => lab.world.root.output(["socat", "-T5", "-", at(8075)]);
    expect(await eventually(ask)).toBe("served\n");
    await user.ok("network", "disconnect", "one", member.name);
    expect(await ask()).toBe("served\n");
    await user.ok("network", "disconnect", "two", member.name);
    expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8075");
    await user.ok("network", "connect", "two", member.name);
    expect(await ask()).toBe("served\n");
  });

  test("run with -P, too", async ({ user, lab }) => {
    const serve = "exec socat TCP-LISTEN:8076,fork,reuseaddr SYSTEM:'echo served'";
    await using member = await byRun(user, serve, "-P");
    const ask = () => lab.world.root.output(["socat", "-T5", "-", at(8076)]);
    expect(await eventually(ask)).toBe("served\n");
    await user.ok("network", "disconnect", "one", member.name);
    expect(await eventually(ask)).toBe("served\n");
    await user.ok("network", "disconnect", "two", member.name);
    expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8076");
    await user.ok("network", "connect", "two", member.name);
    expect(await eventually(ask)).toBe("served\n");
  });

  test("run that is stopped leaves when it continues, and nobody waits for that", async ({
    user,
  }) => {
    await using member = await byRun(user);
    member.kill("SIGSTOP");
    expect(await user.ok("network", "disconnect", "one", member.name)).toBe(
      `${member.name} has left one, but has eth0 until its slipway run continues, which is stopped: kill -CONT ${member.pid}\n`,
    );
    const [own] = (await user.members()).filter(({ name }) => name === member.name);
    expect(own?.networks.map(({ network }) => network)).toEqual(["two"]);
    member.kill("SIGCONT");
    await eventually(async () => expect(await placeOf(member)).toBe("eth1 1, 10.90.1.1"));
  });
});

describe("a run that is being started", () => {
  /** Starts a run in a shell that goes on at once, as `slipway run … &` does. */
  const shell = (user: DaemonUser, script: string) =>
    user.lab.host.user.run(["sh", "-c", script, user.lab.host.slipwayPath], { env: user.env });

  test("is waited for by name and by PID", async ({ user }) => {
    const { stdout, stderr } = await shell(
      user,
      `"$0" run --network one --name early -- sleep 4326 & run=$!
       "$0" network connect two early && "$0" network disconnect two $run
       "$0" run --network container:early -- ip -brief -4 address show eth0
       kill $run; wait $run 2>/dev/null
       "$0" run -- sleep 4326 & run=$!
       "$0" network connect two $run --name alone && "$0" network disconnect two $run
       kill $run; wait $run 2>/dev/null
       "$0" run --name solo -- sleep 4326 & run=$!
       "$0" network connect two solo && "$0" network disconnect two solo
       kill $run; wait $run 2>/dev/null`,
    );
    expect(stderr).toBe("");
    expect(stdout).toMatch(
      /^early is on two as eth1: 10\.90\.1\.\d+\neth0 +UNKNOWN +10\.90\.0\.\d+\/24[^\n]*\nalone is on two as eth0: 10\.90\.1\.\d+\nsolo is on two as eth0: 10\.90\.1\.\d+\n$/,
    );
  });

  test("is asked about by its PID", async ({ user }) => {
    const { stdout, stderr } = await shell(
      user,
      `"$0" run --network one --name asked -- sleep 4327 & run=$!
       "$0" status --name $run | head -n 1
       "$0" port add --name $run 127.0.0.1:8075:80
       "$0" inspect --format '{{.Name}}' $run
       kill $run; wait $run 2>/dev/null
       "$0" run --network one --name inspected -- sleep 4327 & run=$!
       "$0" inspect --format '{{.Name}}' $run
       kill $run; wait $run 2>/dev/null`,
    );
    expect(stderr).toBe("");
    expect(stdout).toBe(
      "name       asked, on network one\npublished 127.0.0.1:8075 → 80/tcp\n/asked\n/inspected\n",
    );
  });

  test("is attached to by its PID", async ({ user }) => {
    const { stdout, stderr } = await shell(
      user,
      `"$0" run --network none -- sleep 4327 & run=$!
       mkfifo "$XDG_RUNTIME_DIR/ready"
       "$0" attach --ready-fd 3 $run 3>"$XDG_RUNTIME_DIR/ready" >/dev/null & attached=$!
       head -c 1 "$XDG_RUNTIME_DIR/ready"; echo
       "$0" run --network container:$run -- ip -brief -4 address show tap0
       kill $run; wait $run 2>/dev/null; wait $attached`,
    );
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^1\ntap0 +UNKNOWN +10\.0\.2\.100\/24[^\n]*\n$/);
  });

  test("survives that it is disconnected", async ({ user }) => {
    // It ends when it has lo alone.
    const alone = "while ip -o link | grep -q eth0; do sleep 0.02; done; ip -o link | cut -d: -f2";
    const { stdout, stderr } = await shell(
      user,
      `"$0" run --network one --name brief -- sh -c '${alone}' & run=$!
       "$0" network disconnect one brief || echo refused
       wait $run && echo ended`,
    );
    expect({ stdout, stderr }).toEqual({ stdout: " lo\nended\n", stderr: "" });
  });

  test("publishes its ports once it has a network", async ({ user, lab }) => {
    const serve = "socat TCP-LISTEN:80,fork,reuseaddr SYSTEM:'echo served'";
    const { stdout } = await shell(
      user,
      `"$0" run --network one --name late -p 8078:80 -- ${serve} & run=$!
       "$0" network disconnect one late && "$0" network connect two late
       until socat -T5 - TCP:${link.host}:8078,connect-timeout=5; do sleep 0.05; done
       kill $run; wait $run 2>/dev/null`,
    );
    expect(stdout).toMatch(/^late is on two as eth0: [^\n]*\nserved\n$/);
    await eventually(async () => {
      expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8078");
    });
  });

  test("is not taken for a name that nobody has", async ({ user }) => {
    expect(await user.refusal("network", "connect", "one", "nobody")).toBe(
      "1 slipway: there is no member nobody: slipway ps shows all members, slipway status all runs",
    );
    expect(await user.refusal("network", "disconnect", "one", "nobody")).toBe(
      "1 slipway: there is no member nobody: slipway ps shows all members",
    );
  });
});

test("a run starts another daemon if the first one ends before it answers", async ({ lab }) => {
  await using user = await DaemonUser.create(lab);
  const socket = `${user.directory}/daemon/api.sock`;
  await lab.host.user.shell(`mkdir -m 0700 ${user.directory} ${user.directory}/daemon`);
  // Takes one client, and ends.
  lab.host.user.spawn(["socat", `UNIX-LISTEN:${socket},mode=0600`, "SYSTEM:exit"]);
  await eventually(() => lab.host.user.output(["test", "-S", socket]));
  const { code, stdout, stderr } = await user.command(
    "run",
    "--network",
    "bridge",
    "--",
    "hostname",
    "-i",
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain("10.89.0.2");
});

test("the host's own network is no member", async ({ user, lab }) => {
  const { pid } = lab.host.user.spawn(["sleep", "4327"]);
  expect(await user.refusal("network", "connect", "one", `${pid}`)).toMatch(
    /process \d+ is in the host's network: give a process in a network namespace of its own/,
  );
});

function at(port: number): string {
  return `TCP:${link.host}:${port},connect-timeout=5`;
}
