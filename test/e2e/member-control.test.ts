import { link } from "../lab/addresses.ts";
import { ready } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { userDirectory } from "./api-client.ts";
import { DaemonUser, eventually, type Member } from "./daemon-user.ts";
import { test as base, expect } from "./fixture.ts";

// No peer has these commands.
const test = base.runIf(isSlipway);

/** Starts a server in a member that says `hello` at its port 80. */
async function serve({ namespace }: Member): Promise<Process> {
  const server = namespace.spawn(["socat", "TCP4-LISTEN:80,fork,reuseaddr", "SYSTEM:echo hello"]);
  await namespace.shell("until grep -q ':0050 ' /proc/net/tcp; do sleep 0.05; done");
  return server;
}

async function answerAt(lab: Lab, port: number): Promise<string> {
  const client = await lab.world.agent.connect({ address: link.host, port });
  return client.readToEnd();
}

async function published(user: DaemonUser, name: string): Promise<readonly string[]> {
  const entries: { host_addr: string; host_port: number; guest_port: number }[] = JSON.parse(
    await user.ok("port", "ls", "--name", name, "--json"),
  );
  return entries.map((each) => `${each.host_addr} ${each.host_port}:${each.guest_port}`);
}

test("ports of a member are added, listed and removed, and the next daemon has those that are left", async ({
  lab,
}) => {
  await using user = await DaemonUser.create(lab);
  await user.ok("network", "create", "web");
  const member = await user.member("web", "app");
  const server = await serve(member);
  const added = await user.ok("port", "add", "--name", "app", "8081:80", "8082-8084:80-82");
  expect(added).toBe("published 0.0.0.0:8081 → 80/tcp\npublished 0.0.0.0:8082-8084 → 80-82/tcp\n");
  expect(await answerAt(lab, 8081)).toBe("hello\n");
  await user.ok("port", "rm", "--name", "app", "8081", "8083");
  await lab.world.agent.refusal({ address: link.host, port: 8081 });
  const left = ["0.0.0.0 8082:80", "0.0.0.0 8084:82"];
  expect(await published(user, "app")).toEqual(left);
  for (const port of ["81", "81/tcp"]) {
    expect(await user.refusal("port", "app", port)).toBe(
      "1 slipway: port 81/tcp of app is not published: slipway port app lists those that are",
    );
  }
  expect(await user.ok("port", "app", "82")).toBe("0.0.0.0:8084\n");
  expect(await user.ok("port", "app", "82/tcp")).toBe("0.0.0.0:8084\n");
  expect(await user.refusal("port", "app", "82/udp")).toMatch(/^1 slipway: port 82\/udp of app is/);
  expect(await user.ok("port", "app")).toMatch(/^ID +PROTO +HOST +GUEST\n.*0\.0\.0\.0:8082/);
  await user.kill();
  // Its supervisor starts another.
  expect(await eventually(() => published(user, "app"))).toEqual(left);
  expect(await answerAt(lab, 8082)).toBe("hello\n");
  await lab.world.agent.refusal({ address: link.host, port: 8081 });
  const again = await user.refusal("port", "rm", "--name", "app", "8081");
  expect(again).toMatch(/^1 slipway: 8081\/tcp is not published: see slipway port ls/);
  server.kill("SIGTERM");
  await member.namespace.release();
});

test("what was published and removed while a run is on networks holds with the next daemon, too", async ({
  lab,
}) => {
  await using user = await DaemonUser.create(lab);
  await user.ok("network", "create", "web");
  const script =
    "socat TCP4-LISTEN:80,fork,reuseaddr SYSTEM:'echo hello' & echo up; read line; kill $!";
  const options = ["--network", "web", "--name", "app", "-p", "8076:80"];
  const run = lab.host.slipway(["run", ...options, "--", "sh", "-c", script], {
    env: user.env,
    stdin: "pipe",
  });
  await run.printed(/up/);
  await user.ok("port", "add", "--name", "app", "8077:80");
  await user.ok("port", "rm", "--name", "app", "8076");
  await user.kill();
  expect(await eventually(() => published(user, "app"))).toEqual(["0.0.0.0 8077:80"]);
  await lab.world.agent.refusal({ address: link.host, port: 8076 });
  expect(await answerAt(lab, 8077)).toBe("hello\n");
  run.child.stdin?.end("\n");
  expect((await run.ended(10_000)).code).toBe(0);
});

test("a port of a member that is in use leaves the others as they were", async ({ lab }) => {
  await using user = await DaemonUser.create(lab);
  await user.ok("network", "create", "web");
  const { namespace } = await user.member("web", "app");
  const taken = await lab.host.agent.listen("127.0.0.1");
  const place = `127.0.0.1:${taken.endpoint.port}:80`;
  const refused = await user.refusal("port", "add", "--name", "app", "8091:80", place);
  expect(refused).toMatch(/^1 slipway: cannot publish 127\.0\.0\.1:\d+: the port is in use/);
  expect(await published(user, "app")).toEqual([]);
  await namespace.release();
});

test("published ports go over to the member's next network that leads outside, and end with the member", async ({
  lab,
}) => {
  await using user = await DaemonUser.create(lab);
  await user.ok("network", "create", "one");
  await user.ok("network", "create", "--internal", "inner");
  await user.ok("network", "create", "two");
  const member = await user.member("one", "app");
  const server = await serve(member);
  await user.ok("network", "connect", "inner", "app");
  await user.ok("port", "add", "--name", "app", "8085:80");
  await user.ok("network", "disconnect", "one", "app");
  await lab.world.agent.refusal({ address: link.host, port: 8085 });
  const refused = await user.refusal("port", "add", "--name", "app", "8086:80");
  expect(refused).toMatch(/^1 slipway: app is on internal networks only/);
  await user.ok("network", "connect", "two", "app");
  expect(await answerAt(lab, 8085)).toBe("hello\n");
  await user.ok("network", "disconnect", "inner", "app");
  await user.ok("network", "disconnect", "two", "app");
  await lab.world.agent.refusal({ address: link.host, port: 8085 });
  const gone = await user.refusal("port", "ls", "--name", "app");
  expect(gone).toMatch(/^1 slipway: nothing that runs is called "app"/);
  server.kill("SIGTERM");
  await member.namespace.release();
});

test("status and flows show members of networks", async ({ lab }) => {
  await using user = await DaemonUser.create(lab);
  await user.ok("network", "create", "web");
  await user.ok("network", "create", "--internal", "inner");
  const { namespace, addresses } = await user.member("web", "app");
  await user.ok("network", "connect", "inner", "app");
  const remote = await lab.world.agent.echo("203.0.113.20");
  const place = `${remote.address}:${remote.port}`;
  const client = namespace.spawn(["socat", "STDIO", `TCP:${place}`], { stdin: "pipe" });
  client.child.stdin?.write("hello");
  await client.printed(/hello/);
  const [flow, ...others] = JSON.parse(await user.ok("flows", "--name", "app", "--json"));
  expect([flow, others]).toMatchObject([
    { proto: "tcp", guest: { addr: addresses.v4, peer_port: remote.port }, to_guest: { bytes: 5 } },
    [],
  ]);
  const shown = JSON.parse(await user.ok("status", "--json"));
  expect(shown).toMatchObject([
    { socket: null, name: "app", member_of: "web", tap: "eth0", target: namespace.pid },
    { socket: null, name: "app", member_of: "inner", tap: "eth1" },
  ]);
  expect(shown[0].statistics.tcpFlows).toBe(1);
  expect(await user.ok("status", "--name", `${namespace.pid}`)).toMatch(
    /^name +app, on network web\nprocess /,
  );
  client.kill("SIGTERM");
  await namespace.release();
});

test("status shows how long a member has been up, and not its daemon", async ({ lab }) => {
  await using user = await DaemonUser.create(lab);
  await user.ok("network", "create", "web");
  const uptimeOf = async (name: string): Promise<number> => {
    const [{ uptime }] = JSON.parse(await user.ok("status", "--name", name, "--json"));
    return uptime;
  };
  const first = await user.member("web", "first");
  await eventually(async () => expect(await uptimeOf("first")).toBeGreaterThanOrEqual(2));
  const began = performance.now();
  const second = await user.member("web", "second");
  const uptime = await uptimeOf("second");
  expect(uptime).toBeLessThanOrEqual((performance.now() - began) / 1000);
  await first.namespace.release();
  await second.namespace.release();
});

test("a daemon that does not answer hides no network that runs without it", async ({ lab }) => {
  await using user = await DaemonUser.create(lab);
  await user.ok("network", "create", "web");
  // A daemon refuses clients in another PID namespace; the API socket does not.
  const elsewhere = ["unshare", "--user", "--map-current-user", "--pid", "--fork"];
  const ask = (...args: string[]) =>
    lab.host.user.run([...elsewhere, lab.host.slipwayPath, ...args], { env: user.env });
  const none = await ask("status");
  expect([none.code, none.stderr]).toEqual([1, expect.stringMatching(/the daemon does not serve/)]);
  const run = user.run("--name", "alone", "--", "sh", "-c", "echo up; exec sleep 1000");
  await run.printed(/up/);
  const shown = await ask("status", "--json");
  expect([shown.code, JSON.parse(shown.stdout)]).toMatchObject([0, [{ name: "alone" }]]);
  expect(shown.stderr).toMatch(
    /^slipway: warning: members are left out: the daemon does not serve/,
  );
  expect((await ask("port", "alone")).code).toBe(0);
  run.kill("SIGTERM");
  await run.exit;
});

test("a guest of a container engine is found by its container's id and by its processes", async ({
  lab,
}) => {
  const user = await DaemonUser.create(lab);
  const directory = await userDirectory(lab);
  const id = "0123456789abcdef".repeat(4);
  const socket = `${directory}/${id}.net`;
  const namespace = await lab.host.namespace();
  const args = ["-c", "-r", "3", "--api-socket", socket, `${namespace.pid}`, "tap0"];
  const helper = lab.host.helper(args, { pipes: [3] });
  await ready(helper, 3);
  // Its arguments are conmon's, which knows the container's name.
  const conmon = ["exec", "-a", "conmon", "sh", "-c", "'echo up; read line'", "sh", "-c", id];
  const monitor = lab.host.user.spawn(["bash", "-c", `${conmon.join(" ")} -n shop.web`], {
    stdin: "pipe",
  });
  await monitor.printed(/up/);
  for (const name of [id, id.slice(0, 12), "shop.web", `${helper.pid}`, `${namespace.pid}`]) {
    const [status] = JSON.parse(await user.ok("status", "--name", name, "--json"));
    expect(status).toMatchObject({ socket, pid: helper.pid, target: namespace.pid });
  }
  await user.ok("port", "add", "--name", id.slice(0, 12), "8087:80");
  expect(await published(user, id)).toEqual(["0.0.0.0 8087:80"]);
  // A process of a container may call itself what it likes.
  const other = "f".repeat(64);
  await lab.host.user.shell(`ln ${socket} ${directory}/${other}.net`);
  const decoy = `exec -a slirp4netns sh -c 'echo up; read line' --api-socket ${directory}/${other}.net`;
  for (const [place, isFound] of [
    [["unshare", "--user", "--map-current-user", "--pid", "--fork"], false],
    [[], true],
  ] as const) {
    const process = lab.host.user.spawn([...place, "bash", "-c", decoy], { stdin: "pipe" });
    await process.printed(/up/);
    expect((await user.command("status", "--name", other)).code).toBe(isFound ? 0 : 1);
    process.child.stdin?.end("\n");
    await process.exit;
  }
  monitor.child.stdin?.end("\n");
  await monitor.exit;
  helper.kill("SIGTERM");
  await helper.exit;
  expect(await user.refusal("status", "--name", id)).toMatch(/nothing that runs is called/);
  await namespace.release();
});
