import { link, served } from "../lab/addresses.ts";
import { ready, readyText } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Process, ProcessOptions } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { describe, expect, test } from "./fixture.ts";

// What programs that start slirp4netns rely on: podman, RootlessKit, buildah.

/** Starts the helper for a namespace and waits until it is ready, at fd 3. */
async function connected(
  lab: Lab,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Process> {
  const process = lab.host.helper(args, { pipes: [3], ...options });
  await ready(process, 3);
  return process;
}

async function ended(process: Process, namespace: HeldNamespace): Promise<void> {
  process.kill("SIGTERM");
  await process.ended(10_000);
  await namespace.release();
}

async function reachesWorld(namespace: HeldNamespace): Promise<boolean> {
  const outcome = await namespace.run(["curl", "-sS", "-m", "20", `http://${served.http}/`]);
  return outcome.code === 0;
}

/** The helper's output from its start to its end by the exit-fd. */
async function announced(lab: Lab, options: readonly string[]): Promise<string> {
  const namespace = await lab.host.namespace();
  const args = ["-c", "-r", "3", "-e", "4", ...options, `${namespace.pid}`, "tap0"];
  const process = await connected(lab, args, { pipes: [3, 4] });
  process.pipe(4).destroy();
  const { stdout } = await process.ended(10_000);
  await namespace.release();
  return stdout;
}

test("the address plan is announced on stdout, line by line", async ({ lab }) => {
  const lines = (await announced(lab, [])).split("\n");
  expect(lines).toEqual([
    "Starting slirp",
    "* MTU:             1500",
    "* Network:         10.0.2.0",
    "* Netmask:         255.255.255.0",
    "* Gateway:         10.0.2.2",
    "* DNS:             10.0.2.3",
    "* DHCP begin:      10.0.2.15",
    "* DHCP end:        10.0.2.30",
    "* Recommended IP:  10.0.2.100",
    expect.stringMatching(/^WARNING: 127\.0\.0\.1:\* on the host is accessible as 10\.0\.2\.2/),
    "",
  ]);
});

test("there is no warning if the host's loopback is closed", async ({ lab }) => {
  const text = await announced(lab, [
    "--disable-host-loopback",
    "--mtu=65520",
    "--cidr=10.1.0.0/16",
  ]);
  expect(text).toContain(
    "* MTU:             65520\n* Network:         10.1.0.0\n* Netmask:         255.255.0.0\n",
  );
  expect(text).toContain("* Recommended IP:  10.1.0.100\n");
  expect(text).not.toContain("WARNING");
});

test("-c configures lo, the TAP, its address and the default route", async ({ lab }) => {
  await using guest = await lab.guest({ mtu: 4_000, cidr: "10.9.0.0/16" });
  const links = await guest.namespace.output(["ip", "-oneline", "link"]);
  expect(links).toMatch(/ lo: <LOOPBACK,UP,LOWER_UP>/);
  expect(links).toMatch(/ tap0: <BROADCAST,[A-Z,]*UP,LOWER_UP> mtu 4000 /);
  const addresses = await guest.namespace.output(["ip", "-oneline", "-4", "address"]);
  expect(addresses).toMatch(/ tap0 +inet 10\.9\.0\.100\/16 brd 10\.9\.255\.255 /);
  const routes = await guest.namespace.output(["ip", "route"]);
  expect(routes).toMatch(/^default via 10\.9\.0\.2 dev tap0/m);
  expect(await reachesWorld(guest.namespace)).toBe(true);
});

describe("the ready-fd", () => {
  test("gets a 1 and is closed", async ({ lab }) => {
    const namespace = await lab.host.namespace();
    const process = lab.host.helper(["-c", "-r", "3", `${namespace.pid}`, "tap0"], { pipes: [3] });
    expect(await readyText(process, 3)).toBe("1");
    expect(await reachesWorld(namespace)).toBe(true);
    await ended(process, namespace);
  });

  test("is closed unwritten by a helper that fails", async ({ lab }) => {
    const dead = lab.host.user.spawn(["true"]);
    await dead.exit;
    const process = lab.host.helper(["-c", "-r", "3", `${dead.pid}`, "tap0"], { pipes: [3] });
    expect(await readyText(process, 3)).toBe("");
    expect((await process.ended(10_000)).code).toBe(1);
  });
});

describe("the exit-fd ends the helper", () => {
  test("when its other end is closed", async ({ lab, annotate }) => {
    await using namespace = await lab.host.namespace();
    const args = ["-c", "-e", "4", "-r", "3", `${namespace.pid}`, "tap0"];
    const process = await connected(lab, args, { pipes: [3, 4] });
    expect(await reachesWorld(namespace)).toBe(true);
    process.pipe(4).destroy();
    const { code, elapsedMs } = await process.ended(10_000);
    await annotate(`${Math.round(elapsedMs)} ms`, "measured");
    expect(code).toBe(0);
  });

  test("when it is not open", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const process = lab.host.helper(["-c", "-e", "77", `${namespace.pid}`, "tap0"]);
    await process.ended(10_000);
  });
});

describe("signals end the helper, and the TAP with it", () => {
  test.for(["SIGTERM", "SIGINT"] as const)("%s", async (signal, { lab, annotate }) => {
    await using namespace = await lab.host.namespace();
    const args = ["-c", "-r", "3", `${namespace.pid}`, "tap0"];
    const process = await connected(lab, args);
    process.kill(signal);
    const { elapsedMs } = await process.ended(10_000);
    await annotate(`${Math.round(elapsedMs)} ms`, "measured");
    await expect.poll(() => namespace.output(["ip", "-oneline", "link"])).not.toContain("tap0");
  });
});

describe("targets", () => {
  // slirp4netns 1.2 finds it only for root.
  test.runIf(isSlipway)(
    "a namespace is found by its path, and its user namespace by the kernel",
    async ({ lab }) => {
      const namespace = await lab.host.namespace();
      const path = `/proc/${namespace.pid}/ns/net`;
      const args = ["-c", "-r", "3", "--netns-type=path", path, "tap0"];
      const process = await connected(lab, args);
      expect(await reachesWorld(namespace)).toBe(true);
      await ended(process, namespace);
    },
  );

  test("both namespaces are found by their paths", async ({ lab }) => {
    const namespace = await lab.host.namespace();
    const [user, net] = ["user", "net"].map((kind) => `/proc/${namespace.pid}/ns/${kind}`);
    const type = ["--netns-type", "path", "--userns-path", `${user}`];
    const process = await connected(lab, ["-c", "-r", "3", ...type, `${net}`, "tap0"]);
    expect(await reachesWorld(namespace)).toBe(true);
    await ended(process, namespace);
  });

  test("additional arguments are ignored", async ({ lab }) => {
    const namespace = await lab.host.namespace();
    const args = ["-c", "-r", "3", `${namespace.pid}`, "tap0", "3"];
    const process = await connected(lab, args);
    expect(await reachesWorld(namespace)).toBe(true);
    await ended(process, namespace);
  });

  test("an existing TAP, configured by its maker, is used", async ({ lab }) => {
    const namespace = await lab.host.namespace();
    await namespace.shell(`
      ip tuntap add name tap0 mode tap
      ip link set tap0 up
    `);
    const process = await connected(lab, ["-r", "3", `${namespace.pid}`, "tap0"]);
    await namespace.shell(`
      ip address add 10.0.2.100/24 dev tap0
      ip route add default via 10.0.2.2
    `);
    expect(await reachesWorld(namespace)).toBe(true);
    await ended(process, namespace);
  });
});

describe("the host's loopback, through the gateway", () => {
  test("is reached by default", async ({ lab }) => {
    await using guest = await lab.guest();
    const { port } = await lab.host.agent.echo("127.0.0.1");
    const agent = await guest.agent();
    const connection = await agent.connect({ address: guest.addresses.gateway, port });
    await connection.write("hello");
    expect(await connection.read(5)).toBe("hello");
    const echo = await lab.host.agent.echoUdp("127.0.0.1");
    const socket = await agent.udp("0.0.0.0");
    await socket.send({ address: guest.addresses.gateway, port: echo.port }, "hello");
    expect((await socket.receive()).from.address).toBe(guest.addresses.gateway);
  });

  test("is closed with --disable-host-loopback", async ({ lab }) => {
    await using guest = await lab.guest({ hostLoopback: false });
    const listener = await lab.host.agent.listen("127.0.0.1");
    const server = await lab.host.agent.udp("127.0.0.1");
    const agent = await guest.agent();
    const { gateway: address } = guest.addresses;
    const error = await agent.refusal({ address, port: listener.endpoint.port });
    expect(error.code).toBe("ENETUNREACH");
    const socket = await agent.udp("0.0.0.0");
    await socket.send({ address, port: server.endpoint.port }, "hello");
    await expect(server.receive(1_000)).rejects.toThrow("no answer within");
    expect(await reachesWorld(guest.namespace)).toBe(true);
  });

  test("is never reached at its own address", async ({ lab }) => {
    await using guest = await lab.guest();
    const listener = await lab.host.agent.listen("127.0.0.1");
    const error = await (await guest.agent()).refusal(listener.endpoint);
    expect(error.code).toBe("ECONNREFUSED");
  });
});

test("--disable-dns: a connection to network + 3 gets no answer", async ({ lab }) => {
  await using guest = await lab.guest({ options: ["--disable-dns"] });
  const [dns, closed] = [53, 54].map((port) => [
    ...["curl", "-sS", "-m", "3", "--connect-timeout", "2", `telnet://10.0.2.3:${port}`],
  ]);
  // 28: neither an answer nor an error has come; 7: an error has.
  expect((await guest.run(dns)).code).toBe(28);
  // Slipway itself is there, and reports that nobody is elsewhere on its network.
  if (isSlipway) expect((await guest.run(closed)).code).toBe(7);
  const query = ["dig", "+tries=1", "+time=1", "@10.0.2.3", "world.example"];
  expect((await guest.run(query)).stdout).toContain("no servers could be reached");
});

describe("--outbound-addr", () => {
  test("is the source of connections to the host's loopback through the gateway", async ({
    lab,
  }) => {
    const options = [`--outbound-addr=${link.host}`];
    await using guest = await lab.guest({ options });
    const agent = await guest.agent();
    const { gateway: address } = guest.addresses;
    const listener = await lab.host.agent.listen("127.0.0.1");
    const { port } = listener.endpoint;
    const [, accepted] = await Promise.all([agent.connect({ address, port }), listener.accept()]);
    expect(accepted.client.address).toBe(link.host);
    const server = await lab.host.agent.udp("127.0.0.1");
    const socket = await agent.udp("0.0.0.0");
    await socket.send({ address, port: server.endpoint.port }, "hello");
    const { from } = await server.receive();
    expect(from.address).toBe(link.host);
    await server.send(from, "hello back");
    expect((await socket.receive()).from.address).toBe(address);
  });

  // slirp4netns 1.2 with -c leaves the guest's IPv6 to router advertisements, which come later.
  test.runIf(isSlipway)("works likewise for IPv6", async ({ lab }) => {
    const options = [`--outbound-addr6=${link.host6}`];
    await using guest = await lab.guest({ ipv6: true, options });
    const agent = await guest.agent();
    const listener = await lab.host.agent.listen("::1");
    const { port } = listener.endpoint;
    const gateway = { address: "fd00::2", port };
    const [, accepted] = await Promise.all([agent.connect(gateway), listener.accept()]);
    expect(accepted.client.address).toBe(link.host6);
  });

  test("may be a loopback address", async ({ lab }) => {
    await using guest = await lab.guest({ options: ["--outbound-addr=127.0.0.1"] });
    const listener = await lab.host.agent.listen("127.0.0.1");
    const { port } = listener.endpoint;
    const agent = await guest.agent();
    const gateway = { address: guest.addresses.gateway, port };
    const [, accepted] = await Promise.all([agent.connect(gateway), listener.accept()]);
    expect(accepted.client.address).toBe("127.0.0.1");
  });
});

// As slirp4netns's own tests look for them.
describe("an invalid --cidr is reported", () => {
  test.for([
    ["24", "invalid CIDR"],
    ["foo", "invalid CIDR"],
    ["10.0.2.0", "invalid CIDR"],
    [
      "10.0.2.100/24",
      "CIDR needs to be a network address like 10.0.2.0/24, not like 10.0.2.100/24",
    ],
    ["10.0.2.100/26", "prefix length needs to be 1-25"],
    ["10.0.2.0/0", "prefix length needs to be 1-25"],
  ] as const)("%s: %s", async ([cidr, reason], { lab }) => {
    await using namespace = await lab.host.namespace();
    const args = ["-c", `--cidr=${cidr}`, `${namespace.pid}`, "tap0"];
    const { code, stderr } = await lab.host.helper(args).ended(10_000);
    expect(code).toBe(1);
    expect(stderr).toContain(reason);
  });
});

test.runIf(isSlipway)("messages begin with the name of the program", async ({ lab }) => {
  const wrong = await lab.host.helper(["--mtu=x", "1", "tap0"]).ended(10_000);
  expect(wrong.stderr).toMatch(/^slirp4netns: --mtu [^\n]+\n$/);
  const dead = lab.host.user.spawn(["true"]);
  await dead.exit;
  const none = await lab.host.helper(["-c", `${dead.pid}`, "tap0"]).ended(10_000);
  expect(none.stderr).toMatch(/^slirp4netns: [^\n]+\n$/);
  const env = { SLIPWAY_NODE: "/nonexistent" };
  const unfound = await lab.host.helper(["-c", "1", "tap0"], { env }).ended(10_000);
  expect(unfound.stderr).toBe("slirp4netns: SLIPWAY_NODE=/nonexistent is not an executable file\n");
  const ours = await lab.host.slipway(["run", "--mtu=x", "--", "true"]).ended(10_000);
  expect(ours.stderr).toMatch(/^slipway: --mtu [^\n]+\n$/);
});

describe("wrappers that probe the program find", () => {
  test("the options they look for in --help", async ({ lab }) => {
    const outcome = await lab.host.helper(["--help"]).ended(10_000);
    expect(outcome.code).toBe(0);
    const text = outcome.stdout + outcome.stderr;
    const options = ["--disable-host-loopback", "--mtu", "--cidr", "--netns-type"];
    for (const option of options) expect(text).toContain(option);
  });

  test("the version in --version", async ({ lab }) => {
    const outcome = await lab.host.helper(["--version"]).ended(10_000);
    expect(outcome.code).toBe(0);
    expect(outcome.stdout).toMatch(/^slirp4netns version \d/);
  });
});

test("the process is found by its name, as with pgrep and killall", async ({ lab }) => {
  await using guest = await lab.guest();
  const name = await lab.host.user.output(["cat", `/proc/${guest.helper.pid}/comm`]);
  expect(name).toBe("slirp4netns\n");
});

test.runIf(isSlipway)("nothing is printed once it runs", async ({ lab }) => {
  await using guest = await lab.guest();
  expect(await reachesWorld(guest.namespace)).toBe(true);
  expect(guest.helper.stderr).toBe("");
});
