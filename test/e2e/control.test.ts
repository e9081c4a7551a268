import { join } from "node:path";
import { link } from "../lab/addresses.ts";
import { ready } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace, Namespace } from "../lab/namespace.ts";
import type { Outcome, Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { userDirectory } from "./api-client.ts";
import { test as base, expect } from "./fixture.ts";

// No peer has these commands.
const test = base.runIf(isSlipway);

let serial = 0;

/** A login of the host's user, with a runtime directory; and what runs there. */
class Login {
  readonly directory: string;
  readonly #lab: Lab;
  readonly #place: Namespace;

  private constructor(lab: Lab, directory: string) {
    this.directory = directory;
    this.#lab = lab;
    this.#place = lab.host.user.behind(["env", `XDG_RUNTIME_DIR=${directory}`]);
  }

  static async start(lab: Lab): Promise<Login> {
    serial += 1;
    const directory = join(await userDirectory(lab), `run.${serial}`);
    await lab.host.user.shell(`mkdir -m 700 ${directory}`);
    return new Login(lab, directory);
  }

  slipway(...args: string[]): Promise<Outcome> {
    return this.#place.run([this.#lab.host.slipwayPath, ...args]);
  }

  /** Output of a command that must succeed. */
  async output(...args: string[]): Promise<string> {
    return this.#place.output([this.#lab.host.slipwayPath, ...args]);
  }

  /** Starts `slipway run` and goes on. */
  run(...args: string[]): Process {
    return this.#place.spawn([this.#lab.host.slipwayPath, "run", ...args], { stdin: "pipe" });
  }

  /** A network as `slipway attach` makes it. */
  async attach(...args: string[]): Promise<{ namespace: HeldNamespace; helper: Process }> {
    const namespace = await this.#lab.host.namespace();
    const command = [this.#lab.host.slipwayPath, "attach", "--ready-fd", "3", ...args];
    const helper = this.#place.spawn([...command, `${namespace.pid}`], { pipes: [3] });
    await ready(helper, 3);
    return { namespace, helper };
  }
}

test("a network is found by its socket, which belongs to the user alone and is removed with it", async ({
  lab,
}) => {
  const login = await Login.start(lab);
  const none = await login.slipway("status");
  expect([none.code, none.stderr]).toEqual([1, expect.stringMatching(/no running network found/)]);
  for (const words of [["status"], ["flows"], ["port", "ls"]]) {
    expect(await login.slipway(...words, "--json")).toMatchObject({
      ...{ code: 0, stdout: "[]\n", stderr: "" },
    });
    // What is named and not there is a mistake.
    expect(await login.slipway(...words, "--json", "--name", "nobody")).toMatchObject({
      ...{ code: 1, stdout: "" },
    });
  }
  const { namespace, helper } = await login.attach();
  const modes = await lab.host.user.shell(
    `stat -c '%a' ${login.directory}/slipway/* ${login.directory}/slipway`,
  );
  expect(modes).toBe("600\n700\n");
  const [status] = JSON.parse(await login.output("status", "--json"));
  expect(status).toMatchObject({ pid: helper.pid, target: namespace.pid, tap: "tap0", mtu: 1500 });
  expect(await login.output("status")).toMatch(
    new RegExp(`^process +${helper.pid}, for process ${namespace.pid}, up \\d+s, Slipway \\d`),
  );
  await namespace.release();
  await helper.ended(10_000);
  expect(await lab.host.user.shell(`ls ${login.directory}/slipway`)).toBe("");
});

test("one of several networks is selected by its process id; sockets of killed ones are skipped", async ({
  lab,
}) => {
  const login = await Login.start(lab);
  const [one, other, killed] = [await login.attach(), await login.attach(), await login.attach()];
  killed.helper.kill("SIGKILL");
  await killed.helper.exit;
  expect((await login.output("status")).match(/^process/gm)).toHaveLength(2);
  const unnamed = await login.slipway("flows");
  expect(unnamed.stderr).toMatch(/several networks are running, of processes \d+, \d+: choose one/);
  expect(await login.output("flows", "-a", `${one.helper.pid}`)).toMatch(/^PROTO/);
  const dead = await login.slipway("flows", "-a", `${killed.helper.pid}`);
  expect([dead.code, dead.stderr]).toEqual([1, expect.stringMatching(/has no API socket/)]);
  for (const { helper, namespace } of [one, other, killed]) {
    helper.kill("SIGTERM");
    await helper.exit;
    await namespace.release();
  }
});

test("a network can run without a socket", async ({ lab }) => {
  const login = await Login.start(lab);
  const { helper, namespace } = await login.attach("--no-api-socket");
  expect((await login.slipway("status")).stderr).toMatch(/no running network found/);
  helper.kill("SIGTERM");
  await helper.ended(10_000);
  await namespace.release();
});

test("ports are added, listed and removed while slipway run is running", async ({ lab }) => {
  const login = await Login.start(lab);
  const script = `
    socat TCP4-LISTEN:80,fork,reuseaddr SYSTEM:'echo hello' & server=$!
    until grep -q ':0050 ' /proc/net/tcp; do sleep 0.05; done; echo up
    read line; kill $server`;
  const program = lab.host.slipwayPath;
  const run = lab.host.user.spawn(
    ["env", `XDG_RUNTIME_DIR=${login.directory}`, program, "run", "--", "sh", "-c", script],
    { stdin: "pipe" },
  );
  await run.printed(/up\n/);
  const added = await login.output("port", "add", "8080:80", "127.0.0.1:9000-9002:9000-9002/udp");
  expect(added).toMatch(/9000-9002\/udp\n/);
  const lines = (await login.output("port", "ls")).trimEnd().split("\n");
  expect(lines[0]).toMatch(/^ID +PROTO +HOST +GUEST$/);
  expect(lines.slice(1).map((line) => line.trim().split(/ +/).slice(1, 3))).toEqual([
    ["tcp", "0.0.0.0:8080"],
    ["tcp", "[::]:8080"],
    ["udp", "127.0.0.1:9000"],
    ["udp", "127.0.0.1:9001"],
    ["udp", "127.0.0.1:9002"],
  ]);
  const client = await lab.world.agent.connect({ address: link.host, port: 8080 });
  expect(await client.readToEnd()).toBe("hello\n");
  await login.output("port", "rm", "8080", "9000-9001/udp");
  expect(JSON.parse(await login.output("port", "ls", "--json"))).toMatchObject([
    { host_port: 9002 },
  ]);
  const again = await login.slipway("port", "rm", "8080");
  expect([again.code, again.stderr]).toEqual([
    1,
    expect.stringMatching(/8080\/tcp is not published/),
  ]);
  await lab.world.agent.refusal({ address: link.host, port: 8080 });
  const random = await login.output("port", "add", "--json", "80");
  expect(JSON.parse(random)).toMatchObject([
    { host_port: expect.any(Number) },
    { host_addr: "::" },
  ]);
  run.child.stdin?.end("\n");
  expect((await run.ended(10_000)).code).toBe(0);
});

test("a run with a network of its own is found by its name, which one has at a time", async ({
  lab,
}) => {
  const login = await Login.start(lab);
  const command = ["--name", "Shop.web", "--", "sh", "-c", "echo up; read line"];
  const first = login.run(...command);
  await first.printed(/up\n/);
  const [status] = JSON.parse(await login.output("status", "--json"));
  expect(status).toMatchObject({ name: "shop.web", pid: first.pid });
  await login.output("port", "add", "--name", "shop.web", "8095:80");
  expect(await login.output("port", "shop.web")).toMatch(/0\.0\.0\.0:8095 +10\.0\.2\.100:80/);
  expect(await login.output("flows", "-a", `${first.pid}`)).toMatch(/^PROTO/);
  const beside = ["run", "--network", "container:shop.web", "--", "cat", "/proc/net/dev"];
  expect(await login.output(...beside)).toMatch(/^ *tap0:/m);
  const other = login.run("--", "sh", "-c", "echo up; read line");
  await other.printed(/up\n/);
  expect((await login.slipway("flows")).stderr).toMatch(
    /several networks are running, of processes \d+ and named shop\.web: choose one, as in --name/,
  );
  const again = await login.slipway("run", "--name", "shop.WEB", "--", "true");
  expect([again.code, again.stderr]).toEqual([
    1,
    "slipway: the name shop.WEB is taken by another run: choose another\n",
  ]);
  // Its API socket is left behind, on which nobody listens.
  first.kill("SIGKILL");
  await first.exit;
  const second = login.run(...command);
  await second.printed(/up\n/);
  for (const run of [second, other]) {
    run.child.stdin?.end("\n");
    expect((await run.ended(10_000)).code).toBe(0);
  }
  expect(await lab.host.user.shell(`ls ${login.directory}/slipway`)).toBe("");
});

test("if one port is not available, none of those requested with it stays open", async ({
  lab,
}) => {
  const login = await Login.start(lab);
  const { helper, namespace } = await login.attach();
  const taken = await lab.host.agent.listen("127.0.0.1");
  const { port } = taken.endpoint;
  for (const [asked, message] of [
    [`127.0.0.1:${port}:80`, /the port is in use/],
    [`127.0.0.1:${port - 1}-${port}:1-2`, /the port is in use/],
    ["80:80", /not permitted: sudo sysctl/],
    ["192.0.2.99:8099:80", /does not have the address 192\.0\.2\.99/],
  ] as const) {
    const { code, stderr } = await login.slipway("port", "add", "8000-8003:8000-8003", asked);
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
  }
  expect(JSON.parse(await login.output("port", "ls", "--json"))).toEqual([]);
  await lab.host.agent.refusal({ address: "127.0.0.1", port: 8000 });
  helper.kill("SIGTERM");
  await helper.ended(10_000);
  await namespace.release();
});

test("flows are listed as a table, as JSON, and repeatedly", async ({ lab }) => {
  const login = await Login.start(lab);
  const { helper, namespace } = await login.attach();
  const server = await lab.world.agent.echo("203.0.113.20");
  const place = `${server.address}:${server.port}`;
  const client = namespace.spawn(["socat", "STDIO", `TCP:${place}`], { stdin: "pipe" });
  client.child.stdin?.write("hello");
  await client.printed(/hello/);
  const [heads, line] = (await login.output("flows")).split("\n");
  expect(heads).toMatch(/^PROTO +STATE +GUEST +PEER +BY +SENT +RECEIVED +AGE +RTT$/);
  expect(line).toMatch(
    new RegExp(`^tcp +established +10\\.0\\.2\\.100:\\d+ +→ ${place} +${link.host}:\\d+ +5 B +5 B`),
  );
  const [flow] = JSON.parse(await login.output("flows", "--json"));
  expect(flow).toMatchObject({ proto: "tcp", from_guest: { bytes: 5 }, to_guest: { bytes: 5 } });
  const watched = await lab.host.user.shell(`
    export XDG_RUNTIME_DIR=${login.directory}
    ${lab.host.slipwayPath} flows --watch 0.1 | head -n 4
  `);
  expect(watched.match(/^PROTO/gm)).toHaveLength(2);
  client.kill("SIGTERM");
  helper.kill("SIGTERM");
  await helper.ended(10_000);
  await namespace.release();
});
