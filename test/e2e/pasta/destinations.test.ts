import { link, served } from "../../lab/addresses.ts";
import { Agent } from "../../lab/agent/client.ts";
import type { Lab } from "../../lab/lab.ts";
import type { HeldNamespace } from "../../lab/namespace.ts";
import { describe, expect, test } from "../fixture.ts";
import { Background } from "./background.ts";

// Where a destination leads on a copy of the host's network (docs/behaviour.md): both families side by side.

/** Where the host is reached at the address that the guest has, too. */
const host = { 4: "169.254.1.2", 6: "2001:db8:9::2" } as const;
const shadowed = { 4: link.host, 6: link.host6 } as const;
const gateway = { 4: link.world, 6: link.world6 } as const;
const loopback = { 4: "127.0.0.1", 6: "::1" } as const;
/** Of the host, on its link. */
const neighbor = { 4: "198.51.100.77", 6: "2001:db8:0:1::77" } as const;
/** Behind a further route of the host. */
const further = { network: "192.0.2.128/25", router: "198.51.100.9" } as const;

const noHostPorts = ["--quiet", "-T", "none", "-U", "none"];
const noPorts = ["-t", "none", "-u", "none"];
const mapped = ["--map-guest-addr", host[4], "--map-guest-addr", host[6]];

class Copied implements AsyncDisposable {
  readonly namespace: HeldNamespace;
  readonly agent: Agent;
  readonly #pasta: Background;

  private constructor(namespace: HeldNamespace, agent: Agent, pasta: Background) {
    this.namespace = namespace;
    this.agent = agent;
    this.#pasta = pasta;
  }

  static async start(
    lab: Lab,
    options: readonly string[] = mapped,
    ports: readonly string[] = noPorts,
  ): Promise<Copied> {
    await lab.world.root.shell(`
      ip address replace ${neighbor[4]}/32 dev lo
      ip address replace ${neighbor[6]}/128 dev host nodad
    `);
    const namespace = await lab.host.namespace();
    const args = ["--config-net", ...noHostPorts, ...ports, ...options, `${namespace.pid}`];
    const pasta = await Background.startPlain(lab, args);
    return new Copied(namespace, await Agent.start(namespace, lab.host.stage), pasta);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pasta[Symbol.asyncDispose]();
    await this.agent.close();
    await this.namespace.release();
  }
}

const FAMILIES = [4, 6] as const;

describe.each(FAMILIES)("over IPv%i a guest with the host's addresses reaches", (family) => {
  test("the host at a mapped address, and at its own address itself", async ({ lab }) => {
    await using guest = await Copied.start(lab);
    const listener = await lab.host.agent.listen(shadowed[family]);
    const { port } = listener.endpoint;
    const [, accepted] = await Promise.all([
      guest.agent.connect({ address: host[family], port }),
      listener.accept(),
    ]);
    expect(accepted.client.address).toBe(shadowed[family]);
    const own = await guest.agent.refusal({ address: shadowed[family], port });
    expect(own.code).toBe("ECONNREFUSED");
    await using udp = await guest.agent.udp(family === 4 ? "0.0.0.0" : "::");
    const echo = await lab.host.agent.echoUdp(shadowed[family]);
    await udp.send({ address: host[family], port: echo.port }, "hello");
    const answer = await udp.receive();
    expect(answer.from).toMatchObject({ address: host[family], port: echo.port });
  });

  test("the host's loopback at the gateway, and with --no-map-gw the router", async ({ lab }) => {
    const there = await lab.host.agent.echo(loopback[family]);
    const router = await lab.world.agent.echo(gateway[family]);
    await using open = await Copied.start(lab);
    await (await open.agent.connect({ ...there, address: gateway[family] })).close();
    expect((await open.agent.refusal(router)).code).toBe("ECONNREFUSED");
    await using closed = await Copied.start(lab, ["--no-map-gw"]);
    await (await closed.agent.connect(router)).close();
    expect((await closed.agent.refusal({ ...there, address: gateway[family] })).code).toBe(
      "ECONNREFUSED",
    );
  });

  test("the host's neighbours, by ping too, as the world does the guest's port", async ({
    lab,
  }) => {
    await using guest = await Copied.start(lab, mapped, ["-t", "8180", "-u", "none"]);
    const listener = await lab.world.agent.listen(neighbor[family]);
    const [, accepted] = await Promise.all([
      guest.agent.connect(listener.endpoint),
      listener.accept(),
    ]);
    expect(accepted.client.address).toBe(shadowed[family]);
    for (const address of [neighbor[family], gateway[family], host[family]]) {
      await guest.namespace.output(["ping", `-${family}`, "-c1", "-W5", address]);
    }
    const inside = await guest.agent.listen("::", 8180);
    const port = { address: shadowed[family], port: 8180 };
    const seen = async () => (await inside.accept()).client.address.replace("::ffff:", "");
    const ofWorld = await lab.world.agent.connect(port);
    expect(await seen()).toBe(ofWorld.client.address);
    await lab.host.agent.connect(port);
    expect(await seen()).toBe(host[family]);
  });
});

test("the guest has the host's addresses and no others, and may take one that nobody of its own has", async ({
  lab,
}) => {
  await using guest = await Copied.start(lab);
  const show = () => guest.namespace.output(["ip", "-6", "address", "show", "dev", "eth0"]);
  const addresses = async () => (await show()).match(/inet6 \S+(?= scope global)/g);
  expect(await addresses()).toEqual([`inet6 ${link.host6}/64`]);
  await guest.namespace.shell("ip address add 2001:db8:0:1::88/64 dev eth0");
  await expect.poll(show, { timeout: 10_000 }).not.toContain("tentative");
  expect(await show()).not.toContain("dadfailed");
  // By now a router advertisement would have been asked for, and given it a further one.
  expect(await addresses()).toEqual(["inet6 2001:db8:0:1::88/64", `inet6 ${link.host6}/64`]);
});

/** Prints the lease. */
const SCRIPT = `#!/bin/sh
case "\${1:-$reason}" in
bound|BOUND|BOUND6) env | grep -E '^(ip|mask|router|staticroutes|new_ip6_address)=' | sort
esac
`;

describe("a guest that configures its interface itself", () => {
  test("is leased the host's address, and told its routes", async ({ lab }) => {
    const { root } = lab.host;
    await root.shell(`ip route add ${further.network} via ${further.router} dev eth0`);
    await using namespace = await lab.host.namespace();
    const args = [...noHostPorts, ...noPorts, `${namespace.pid}`];
    await using _pasta = await Background.startPlain(lab, args);
    const script = `${lab.directory}/lease`;
    await namespace.shell(`
      cat > ${script} <<'END'
${SCRIPT}END
      chmod 755 ${script}
      ip link set eth0 up
    `);
    // DHCPv6 needs a link-local address.
    const show = () => namespace.output(["ip", "-6", "address", "show", "dev", "eth0"]);
    await expect.poll(show, { timeout: 10_000 }).toMatch(/fe80::\S+ scope link (?!tentative)/);
    const udhcpc = ["busybox", "udhcpc", "-f", "-n", "-q", "-i", "eth0", "-s", script];
    // Two clients, as a boot loader and the system that it starts.
    for (const client of ["0x3d:000102", "0x3d:000103"]) {
      const lease = await namespace.output([...udhcpc, "-O", "staticroutes", "-x", client]);
      expect(lease.trim().split("\n")).toEqual([
        `ip=${link.host}`,
        "mask=24",
        `router=${link.world}`,
        `staticroutes=0.0.0.0/0 ${link.world} ${further.network} ${further.router}`,
      ]);
    }
    const files = ["-lf", `${script}.6`, "-pf", `${script}.pid`];
    const dhclient = ["dhclient", "-6", "-1", "-sf", script, ...files, "eth0"];
    expect(await namespace.output(dhclient)).toContain(`new_ip6_address=${link.host6}\n`);
    await namespace.shell(`kill $(cat ${script}.pid)`);
    await root.shell(`ip route del ${further.network}`);
  });

  test("makes an address of the host's prefix, which it finds free, and has a router", async ({
    lab,
  }) => {
    await using namespace = await lab.host.namespace();
    const args = [...noHostPorts, ...noPorts, `${namespace.pid}`];
    await using _pasta = await Background.startPlain(lab, args);
    await namespace.shell("ip link set eth0 up");
    const show = () => namespace.output(["ip", "-6", "address", "show", "dev", "eth0"]);
    await expect
      .poll(show, { timeout: 10_000 })
      .toMatch(/2001:db8:0:1:\S+\/64 scope global dynamic mngtmpaddr/);
    expect(await show()).not.toContain("dadfailed");
    const routes = await namespace.output(["ip", "-6", "route"]);
    expect(routes).toMatch(/default via fe80:.* proto ra/);
    await namespace.output(["curl", "-6sS", "-m", "20", `http://[${served.http6}]/`]);
  });
});
