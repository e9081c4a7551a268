import { readFileSync } from "node:fs";
import { link, served } from "../lab/addresses.ts";
import { Agent } from "../lab/agent/client.ts";
import { type Guest, ready, readyText } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { helper, isSlipway } from "../lab/product.ts";
import { addForward, ask, userDirectory } from "./api-client.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { expectExchange } from "./exchange.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Shared mode: the launcher opens the TAP, and the user's daemon serves it.

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    await user.ok("daemon", "start");
    onCleanup(() => user[Symbol.asyncDispose]());
    return user;
  })
  .runIf(isSlipway);

let serial = 0;

interface Served extends AsyncDisposable {
  readonly guest: Guest;
  readonly socket: string;
}

/** The environment that selects shared mode, with the user's daemon. */
function wanting(user: DaemonUser): readonly string[] {
  const env = Object.entries({ ...user.env, SLIPWAY_SHARED: "1" });
  return ["env", ...env.map(([name, value]) => `${name}=${value}`)];
}

/** A guest that the user's daemon serves, if it can, with an API socket. */
async function guestOf(user: DaemonUser, ...options: string[]): Promise<Served> {
  serial += 1;
  const socket = `${await userDirectory(user.lab)}/shared${serial}.sock`;
  const guest = await user.lab.guest({
    ipv6: true,
    options: ["--api-socket", socket, ...options],
    helper: [...wanting(user), user.lab.host.stage.inside(helper)],
  });
  return { guest, socket, [Symbol.asyncDispose]: () => guest.close() };
}

/** What the process has become: still the launcher, or a Node of its own. */
function programOf(pid: number): "launcher" | "node" {
  const [program = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return program.endsWith("/node") ? "node" : "launcher";
}

async function reachesWorld({ namespace }: Pick<Guest, "namespace">): Promise<boolean> {
  const outcome = await namespace.run(["curl", "-sS", "-m", "5", `http://${served.http}/`]);
  return outcome.code === 0;
}

/** A port of the host that leads to a server of the guest's. */
async function publish(lab: Lab, { guest, socket }: Served, hostPort: number) {
  const server = await (await guest.agent()).listen("0.0.0.0");
  const id = await addForward(lab, socket, {
    proto: "tcp",
    host_addr: "0.0.0.0",
    host_port: hostPort,
    guestPort: server.endpoint.port,
  });
  return { server, id };
}

async function isFree(lab: Lab, port: number): Promise<boolean> {
  const { code } = await lab.host.user.run(["socat", "-u", `TCP:127.0.0.1:${port}`, "STDOUT"]);
  return code !== 0;
}

describe("a guest of the daemon", () => {
  test("has TCP, UDP, DNS and ping of both families", async ({ user }) => {
    const { lab } = user;
    await using one = await guestOf(user);
    const { guest } = one;
    expect(programOf(guest.helper.pid)).toBe("launcher");
    for (const server of [served.http, `[${served.http6}]`, "world.example"]) {
      await guest.namespace.output(["curl", "-sS", "-m", "5", `http://${server}/`]);
    }
    await guest.namespace.output(["ping", "-c", "1", "-W", "2", "10.0.2.2"]);
    const echo = await lab.world.agent.udp(served.services);
    const inside = await (await guest.agent()).udp("0.0.0.0");
    await inside.send(echo.endpoint, "there");
    const { from, text } = await echo.receive();
    expect(text).toBe("there");
    await echo.send(from, "and back");
    expect((await inside.receive()).text).toBe("and back");
  });

  test("is announced, configured and reported as by a process of its own", async ({ user }) => {
    await using own = await user.lab.guest({ ipv6: true, mtu: 4_000 });
    await using shared = await user.lab.guest({
      ipv6: true,
      mtu: 4_000,
      helper: [...wanting(user), user.lab.host.stage.inside(helper)],
    });
    expect(programOf(own.helper.pid)).toBe("node");
    expect(programOf(shared.helper.pid)).toBe("launcher");
    expect(shared.helper.stdout).toBe(own.helper.stdout);
    for (const what of [["address"], ["route"], ["-6", "route"], ["link"]]) {
      expect(await shown(shared, what)).toBe(await shown(own, what));
    }
  });

  test("has ports through its API socket, which SIGTERM closes", async ({ user }) => {
    const { lab } = user;
    await using one = await guestOf(user);
    const { server } = await publish(lab, one, 8201);
    const outside = await lab.world.agent.connect({ address: link.host, port: 8201 });
    const inside = await server.accept();
    expect(inside.client.address).toBe(link.world);
    await expectExchange(outside, inside);
    one.guest.helper.kill("SIGTERM");
    expect((await one.guest.helper.ended(10_000)).code).toBe(0);
    // At once: a program that waited for the end may take them.
    expect(await isFree(lab, 8201)).toBe(true);
    expect((await lab.host.user.run(["test", "-e", one.socket])).code).toBe(1);
  });

  test("ends with the exit-fd, with its process, and with a launcher that is killed", async ({
    user,
  }) => {
    const { lab } = user;
    const env = { ...user.env, SLIPWAY_SHARED: "1" };
    const first = await lab.host.namespace();
    const args = ["-c", "-e", "4", "-r", "3", `${first.pid}`, "tap0"];
    const byFd = lab.host.helper(args, { env, pipes: [3, 4] });
    expect(await readyText(byFd, 3)).toBe("1");
    expect(programOf(byFd.pid)).toBe("launcher");
    byFd.pipe(4).destroy();
    expect((await byFd.ended(10_000)).code).toBe(0);
    const byProcess = lab.host.helper(["-c", "-r", "3", `${first.pid}`, "tap0"], {
      env,
      pipes: [3],
    });
    await ready(byProcess, 3);
    expect(programOf(byProcess.pid)).toBe("launcher");
    await first.release();
    expect((await byProcess.ended(10_000)).code).toBe(0);
    await using two = await guestOf(user);
    await publish(lab, two, 8202);
    two.guest.helper.kill("SIGKILL");
    await two.guest.helper.ended(10_000);
    await eventually(async () => {
      if (!(await isFree(lab, 8202))) throw new Error("its port is still there");
      const { code } = await lab.host.user.run(["test", "-e", two.socket]);
      if (code === 0) throw new Error("its socket is still there");
    });
  });

  test("sets the level of its own log, not of others'", async ({ user }) => {
    const { lab } = user;
    const log = `${user.directory}/daemon.log`;
    await using one = await guestOf(user);
    await using other = await guestOf(user);
    const level = { execute: "set_log_level", arguments: { level: "debug" } };
    expect(await ask(lab, one.socket, level)).toEqual({ return: {} });
    await ask(lab, other.socket, { execute: "query_status" });
    await ask(lab, one.socket, { execute: "list_hostfwd" });
    const told = await eventually(async () => {
      const text = await lab.host.user.output(["cat", log]);
      if (!text.includes('debug: API: "list_hostfwd"')) throw new Error("nothing is told");
      return text;
    });
    expect(told).not.toContain("query_status");
  });

  test("ends with one line if its TAP is deleted", async ({ user }) => {
    await using one = await guestOf(user);
    const { guest } = one;
    await guest.namespace.output(["ip", "link", "delete", "tap0"]);
    const { code, stderr } = await guest.helper.ended(10_000);
    expect(stderr).toBe(
      "slirp4netns: tap0: the TAP was deleted: the network of the namespace is gone\n",
    );
    expect(code).toBe(1);
  });

  test("may come from `slipway attach`, by path, with published ports and names", async ({
    user,
  }) => {
    const { lab } = user;
    await using namespace = await lab.host.namespace();
    const agent = await Agent.start(namespace, lab.host.stage);
    const server = await agent.listen("0.0.0.0");
    const process = lab.host.slipway(
      [
        ...["attach", "--shared", "--ready-fd", "3", "--ipv6-cidr", "fd00::/64"],
        ...["--add-host", "me.example:host-gateway", "-p", `8203:${server.endpoint.port}`],
        ...[`/proc/${namespace.pid}/ns/net`, "eth5"],
      ],
      { env: user.env, pipes: [3] },
    );
    await ready(process, 3);
    expect(programOf(process.pid)).toBe("launcher");
    expect(process.stdout).toMatch(/^eth5 is up: 10\.0\.2\.100\/24, gateway 10\.0\.2\.2/);
    expect(await reachesWorld({ namespace })).toBe(true);
    for (const name of ["me.example", "host.docker.internal"]) {
      const hosts = await namespace.output(["dig", "+short", name, "A", name, "AAAA"]);
      expect(hosts).toBe(`${link.host}\n${link.host6}\n`);
    }
    const outside = await lab.world.agent.connect({ address: link.host, port: 8203 });
    await expectExchange(outside, await server.accept());
    process.kill("SIGTERM");
    expect((await process.ended(10_000)).code).toBe(0);
    await agent.close();
  });

  test("has IPv6 if the host has it, without a word of it, also with published ports", async ({
    user,
  }) => {
    const { lab } = user;
    await using namespace = await lab.host.namespace();
    const args = ["attach", "--shared", "--ready-fd", "3", "-p", "8206:80", `${namespace.pid}`];
    const process = lab.host.slipway(args, { env: user.env, pipes: [3] });
    await ready(process, 3);
    expect(programOf(process.pid)).toBe("launcher");
    await namespace.output(["curl", "-sS", "-m", "5", `http://[${served.http6}]/`]);
    process.kill("SIGTERM");
    const { code, stderr } = await process.ended(10_000);
    expect(`${code} ${stderr}`).toBe("0 ");
    const log = await lab.host.user.output(["cat", `${user.directory}/daemon.log`]);
    expect(log).not.toContain("failed");
  });

  test("has IPv6 if the host has it, also when its launcher goes on without the daemon", async ({
    lab,
  }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("daemon", "start");
    await using namespace = await lab.host.namespace();
    const args = ["attach", "--shared", "--ready-fd", "3", `${namespace.pid}`];
    const process = lab.host.slipway(args, { env: user.env, pipes: [3] });
    await ready(process, 3);
    expect(programOf(process.pid)).toBe("launcher");
    await user.ok("daemon", "stop");
    await eventually(async () => expect(programOf(process.pid)).toBe("node"));
    await namespace.output(["curl", "-sS", "-m", "20", `http://[${served.http6}]/`]);
    process.kill("SIGTERM");
    const { code, stderr } = await process.ended(10_000);
    expect(`${code} ${stderr}`).toBe("0 ");
  });
});

describe("--shared warns of its reason not to be shared", () => {
  /** What `slipway attach` says of a network that is up and no daemon serves. */
  async function warningOf(user: DaemonUser, args: readonly string[], env = {}): Promise<string> {
    const { lab } = user;
    await using namespace = await lab.host.namespace();
    const process = lab.host.slipway(["attach", ...args, "--ready-fd", "3", `${namespace.pid}`], {
      env: { ...user.env, ...env },
      pipes: [3],
    });
    await ready(process, 3);
    expect(programOf(process.pid)).toBe("node");
    process.kill("SIGTERM");
    const { code, stderr } = await process.ended(10_000);
    expect(code).toBe(0);
    return stderr;
  }
  const WARNING = "slipway: warning: --shared: a process of its own serves the guest: ";

  test.for([
    ["--outbound-addr6", "eth0"],
    ["--outbound-addr", link.host],
    ["--publish-to-loopback"],
  ])("for %s", async (option, { user }) => {
    expect(await warningOf(user, ["--shared", ...option])).toBe(
      `${WARNING}the daemon does not serve ${option[0]}\n`,
    );
  });

  test("without a daemon; SLIPWAY_SHARED says nothing, as it is a preference", async ({ lab }) => {
    const user = await DaemonUser.create(lab);
    expect(await warningOf(user, ["--shared"])).toBe(
      `${WARNING}no daemon of yours runs: slipway daemon start\n`,
    );
    expect(await warningOf(user, [], { SLIPWAY_SHARED: "1" })).toBe("");
    expect(await warningOf(user, [], { SLIPWAY_UNSHARED: "not ours" })).toBe("");
  });

  test("and the daemon does not log it", async ({ user }) => {
    const log = await user.lab.host.user.output(["cat", `${user.directory}/daemon.log`]);
    expect(log).not.toMatch(/failed|^ +at /m);
  });
});

describe("when the daemon ends", () => {
  test.for(["is killed", "is stopped"])(
    "because it %s its launcher goes on",
    async (how, { lab }) => {
      await using user = await DaemonUser.create(lab);
      await user.ok("daemon", "start");
      await using one = await guestOf(user);
      const { guest, socket } = one;
      const gone = await publish(lab, one, 8204);
      const { server, id } = await publish(lab, one, 8205);
      await ask(lab, socket, { execute: "remove_hostfwd", arguments: { id: gone.id } });
      const before = await shown(guest, ["address"]);
      if (how === "is killed") await user.kill();
      else await user.ok("daemon", "stop");
      await eventually(async () => {
        if (programOf(guest.helper.pid) !== "node") throw new Error("it is the launcher still");
      });
      expect(await eventually(() => listed(lab, socket))).toMatchObject([{ id, host_port: 8205 }]);
      expect(await shown(guest, ["address"])).toBe(before);
      expect(await reachesWorld(guest)).toBe(true);
      const outside = await lab.world.agent.connect({ address: link.host, port: 8205 });
      const inside = await server.accept();
      expect(inside.client.address).toBe(link.world);
      await expectExchange(outside, inside);
      expect(guest.helper.stdout.match(/Starting slirp/g)).toHaveLength(1);
      guest.helper.kill("SIGTERM");
      expect((await guest.helper.ended(10_000)).code).toBe(0);
      expect((await lab.host.user.run(["test", "-e", socket])).code).toBe(1);
    },
  );
});

describe("a process of its own is started", () => {
  test("if no daemon runs", async ({ lab }) => {
    await using one = await guestOf(await DaemonUser.create(lab));
    const { guest } = one;
    expect(programOf(guest.helper.pid)).toBe("node");
    expect(await reachesWorld(guest)).toBe(true);
  });

  test("for options that the daemon does not serve", async ({ user }) => {
    const { guest } = await guestOf(user, "--stats");
    expect(programOf(guest.helper.pid)).toBe("node");
    await guest.close();
    expect(guest.helper.stderr).toContain("tcp-connections 0");
  });

  test("if the daemon is on another host network", async ({ user }) => {
    const { lab } = user;
    await using elsewhere = await lab.host.user.unshare(["user", "net"], ["--map-root-user"]);
    await using namespace = await elsewhere.unshare(["user", "net"], ["--map-root-user"]);
    const process = elsewhere.spawn(
      [lab.host.stage.inside(helper), "-c", "-r", "3", `${namespace.pid}`, "tap0"],
      { env: { ...user.env, SLIPWAY_SHARED: "1" }, pipes: [3] },
    );
    await ready(process, 3);
    expect(programOf(process.pid)).toBe("node");
    process.kill("SIGTERM");
    await process.ended(10_000);
  });

  test("for another user, whom the daemon refuses", async ({ user, skip }) => {
    const { lab } = user;
    if (!lab.host.stage.privileged) skip("only root has another uid");
    await using namespace = await lab.host.namespace();
    const args = ["-c", "-r", "3", `${namespace.pid}`, "tap0"];
    const program = [lab.host.stage.inside(helper), ...args];
    const process = lab.host.root.spawn(program, {
      env: { ...user.env, SLIPWAY_SHARED: "1" },
      pipes: [3],
    });
    await ready(process, 3);
    expect(programOf(process.pid)).toBe("node");
    process.kill("SIGTERM");
    await process.ended(10_000);
    // EOF at once, and no answer, where the user's own launcher would be waited for.
    const at = `UNIX-CONNECT:${user.directory}/daemon/launchers.sock,socktype=5`;
    const asked = ["timeout", "1", "socat", "-u", at, "STDOUT"];
    expect((await lab.host.root.run(asked)).code).toBe(0);
    expect((await lab.host.user.run(asked)).code).toBe(124);
  });

  test.for([
    ["a wrong option", ["--mtu=1"]],
    ["an unknown option", ["--nonsense"]],
    ["a descriptor that is closed", ["--exit-fd=77"]],
    ["an API socket in a directory that is not there", ["--api-socket=/nowhere/at/all"]],
  ] as const)("and reports %s", async ([, wrong], { user }) => {
    const { lab } = user;
    await using namespace = await lab.host.namespace();
    const args = [...wrong, "-c", "-r", "3", `${namespace.pid}`, "tap0"];
    const own = lab.host.helper(args, { pipes: [3] });
    const expected = await own.ended(10_000);
    const env = { ...user.env, SLIPWAY_SHARED: "1" };
    const shared = lab.host.helper(args, { env, pipes: [3] });
    const found = await shared.ended(10_000);
    expect(expected.stderr).toMatch(/^slirp4netns: .+\n$/);
    expect(found.stderr).toBe(expected.stderr);
    expect(found.code).toBe(expected.code);
    // Nothing that was begun remains.
    expect(await namespace.output(["ip", "-oneline", "link"])).not.toContain("tap0");
  });
});

describe("the launcher looks for the daemon where Node does:", () => {
  test.for([
    ["by XDG_RUNTIME_DIR", { XDG_RUNTIME_DIR: "@" }],
    ["by XDG_RUNTIME_DIR with a slash at its end", { XDG_RUNTIME_DIR: "@/" }],
    ["by TMPDIR, as XDG_RUNTIME_DIR is not absolute", { XDG_RUNTIME_DIR: "x", TMPDIR: "@" }],
    ["by TMP, as TMPDIR is empty", { TMP: "@", TEMP: "/nowhere" }],
    ["by TEMP", { TEMP: "@" }],
  ] as const)("%s", async ([how, given], { lab, skip }) => {
    const { user } = lab.host;
    // It would be the real daemon of the user who runs the tests.
    const hasUsual = (await user.run(["sh", "-c", "ls -d /run/user/*"])).code === 0;
    if (hasUsual && !("XDG_RUNTIME_DIR" in given && how.startsWith("by XDG"))) {
      skip("this machine has the usual directories");
    }
    const directory = (await user.output(["mktemp", "-d", "/tmp/slipway-XXXXXX"])).trim();
    const none = { XDG_RUNTIME_DIR: "", TMPDIR: "", TMP: "", TEMP: "" };
    const variables = Object.entries(given).map(([name, at]) => [name, at.replace("@", directory)]);
    const env = { ...none, ...Object.fromEntries(variables), XDG_STATE_HOME: directory };
    const slipway = (...args: string[]) => [lab.host.slipwayPath, ...args];
    await user.output(slipway("daemon", "start"), { env });
    // Without Node it is the launcher that asks.
    const found = await user.run(slipway("ps"), { env: { ...env, SLIPWAY_NODE: "/bin/false" } });
    await user.output(slipway("daemon", "stop"), { env });
    await user.output(["rm", "-r", directory]);
    expect(found).toMatchObject({ code: 0, stdout: expect.stringContaining("PORTS") });
  });
});

async function listed(lab: Lab, socket: string): Promise<unknown> {
  const answer = (await ask(lab, socket, { execute: "list_hostfwd" })) as { entries: unknown };
  return answer.entries;
}

/** Without values that the kernel chooses at random, or takes from a later router advertisement. */
async function shown({ namespace }: Guest, what: readonly string[]): Promise<string> {
  const text = await namespace.output(["ip", "-oneline", ...what]);
  return text
    .split("\n")
    .filter((line) => !/ fe80:|multicast|mngtmpaddr|proto ra| expires |^fd00::/.test(line))
    .join("\n")
    .replaceAll(/ (link\/ether|permaddr) \S+/g, "")
    .replaceAll(/^(\d+: tap0)/gm, "N: tap0")
    .replaceAll(/\s+valid_lft.*$/gm, "");
}
