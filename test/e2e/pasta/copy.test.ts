import { existsSync } from "node:fs";
import { link, served } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";
import { describe, expect, test } from "../fixture.ts";
import { Background, noPorts, quiet } from "./background.ts";
import { addressesOf, changed, networkOf, PastaGuest, routesOf } from "./network.ts";

const OWN4 = `${link.host}/${link.length}`;
const OWN6 = `${link.host6}/${link.length6}`;

/** The host without the addresses of a family; the other way round again. */
const without4 = [
  `-4 address flush dev eth0`,
  `address add ${OWN4} dev eth0
  route add default via ${link.world}`,
] as const;
const without6 = [
  `-6 address flush dev eth0 scope global`,
  `address add ${OWN6} dev eth0
  route replace default via ${link.world6}`,
] as const;
const withoutAny = [
  "link set eth0 down",
  `link set eth0 up
  -6 address replace ${OWN6} dev eth0
  route replace default via ${link.world}
  route replace default via ${link.world6}`,
] as const;

function host(lab: Lab): Promise<readonly string[]> {
  return networkOf(lab.host.root);
}

/** How a pasta fails. */
async function failure(lab: Lab, ...args: readonly string[]): Promise<string> {
  await using namespace = await lab.host.namespace();
  const argv = [lab.host.program("pasta"), ...quiet, ...args, `${namespace.pid}`];
  const { code, stderr } = await lab.host.user.run(argv, { timeoutMs: 20_000 });
  expect(code).toBe(1);
  expect(await namespace.output(["ip", "-brief", "link"])).toMatch(/^lo [^\n]*\n$/);
  return stderr;
}

describe("the guest", () => {
  test("has the host's addresses and default routes, and reaches the world", async ({ lab }) => {
    await using guest = await PastaGuest.start(lab);
    expect(await guest.network()).toEqual(await host(lab));
    expect(await addressesOf(guest.namespace, "eth0")).toEqual([OWN4, OWN6]);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
    expect(await guest.fetch(`http://[${served.http6}]/`)).toBe("ok");
  });

  test("has all addresses and routes of the interface", async ({ lab }) => {
    await using _ = await changed(
      lab.host.root,
      `address add 198.51.100.9/28 dev eth0
       address add 192.0.2.129 peer 192.0.2.130/32 dev eth0
       address add 2001:db8:0:1::9/64 dev eth0
       address add 2001:db8:0:9::9/128 dev eth0
       route add 192.0.2.64/27 via ${link.world} metric 7
       route add 192.0.2.96/27 dev eth0
       route add 192.0.2.160/27 via 192.0.2.130
       route add 2001:db8:0:7::/64 via fe80::77 dev eth0 metric 77
       route add 2001:db8:0:8::/64 dev eth0`,
      `address delete 198.51.100.9/28 dev eth0
       address delete 192.0.2.129 peer 192.0.2.130/32 dev eth0
       address delete 2001:db8:0:1::9/64 dev eth0
       address delete 2001:db8:0:9::9/128 dev eth0
       route delete 192.0.2.64/27
       route delete 192.0.2.96/27
       route delete 192.0.2.160/27
       route delete 2001:db8:0:7::/64 metric 77
       route delete 2001:db8:0:8::/64`,
    );
    await using guest = await PastaGuest.start(lab);
    // On the host the kernel has made the route to the other end of the point-to-point link.
    expect(await guest.network()).toEqual(
      [...(await host(lab)), "-4 192.0.2.130  0"].toSorted(inKinds),
    );
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });

  test("reaches what is behind another router, which the host knows by a link-local address", async ({
    lab,
  }) => {
    const shown = await lab.world.root.output(["ip", "-6", "-j", "address", "show", "dev", "host"]);
    const [{ addr_info }] = JSON.parse(shown) as [
      { readonly addr_info: readonly { readonly local: string }[] },
    ];
    const router = addr_info.find(({ local }) => local.startsWith("fe80:"))?.local;
    const way = `${served.http6}/128 via ${router} dev eth0`;
    await using _ = await changed(lab.host.root, `route add ${way}`, `route delete ${way}`);
    await using guest = await PastaGuest.start(lab);
    expect(await guest.network()).toContain(`-6 ${served.http6} ${router} 1024`);
    expect(await guest.fetch(`http://[${served.http6}]/`)).toBe("ok");
  });

  test("has 40 addresses and 100 routes", async ({ lab }) => {
    const addresses = Array.from(
      { length: 40 },
      (_, index) => `192.0.2.${index + 100}/32 dev eth0`,
    );
    const routes = Array.from(
      { length: 100 },
      (_, index) => `2001:db8:77:${index + 1}::/64 via ${link.world6}`,
    );
    await using _ = await changed(
      lab.host.root,
      [
        ...addresses.map((each) => `address add ${each}`),
        ...routes.map((each) => `route add ${each}`),
      ].join("\n"),
      [
        ...addresses.map((each) => `address delete ${each}`),
        ...routes.map((each) => `route delete ${each}`),
      ].join("\n"),
    );
    await using guest = await PastaGuest.start(lab);
    expect(await guest.network()).toEqual(await host(lab));
  });

  test("has the interface's name, the MTU and the MAC that are given, and lo is up", async ({
    lab,
  }) => {
    const mac = "02:00:5e:10:00:07";
    const args = ["--ns-ifname", "net7", "--mtu", "1400", "--ns-mac-addr", mac];
    await using guest = await PastaGuest.start(lab, args);
    const shown = await guest.namespace.output(["ip", "link", "show", "net7"]);
    expect(shown).toMatch(/[<,]UP[,>].* mtu 1400 /);
    expect(shown).toContain(mac);
    expect(await guest.namespace.output(["ip", "link", "show", "lo"])).toMatch(/[<,]UP[,>]/);
  });

  test("has what the user gives it instead", async ({ lab }) => {
    const args = ["-4", "-a", "192.0.2.66", "-n", "26", "-g", "192.0.2.67"];
    await using guest = await PastaGuest.start(lab, args);
    expect(await guest.network()).toEqual(["192.0.2.66/26", "-4 default 192.0.2.67 0"]);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });

  test("has a gateway outside of its network", async ({ lab }) => {
    const args = ["-4", "-a", "192.0.2.66", "-n", "32", "-g", "192.0.2.99"];
    await using guest = await PastaGuest.start(lab, args);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });

  test("sets its addresses by itself without --config-net", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const args = ["--quiet", ...noPorts, `${namespace.pid}`];
    await using _pasta = await Background.startPlain(lab, args);
    const links = await namespace.output(["ip", "-brief", "link"]);
    expect(links).toMatch(/^lo .*[<,]UP[,>]/m);
    expect(links).toMatch(/^eth0 .*<BROADCAST,MULTICAST>/m);
    expect(await addressesOf(namespace, "eth0")).toEqual([]);
    await namespace.shell(`
      ip link set eth0 up
      ip address add ${OWN4} dev eth0
      ip route add default via ${link.world}
      curl -sS -m 20 -o /dev/null http://${served.http}/
    `);
  });

  test("has a TAP already, which is attached to", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await namespace.shell("ip tuntap add name tap7 mode tap");
    const index = () => namespace.shell("ip -oneline link show tap7 | cut -d: -f1");
    const before = await index();
    await using _pasta = await Background.start(lab, ["-I", "tap7", `${namespace.pid}`]);
    expect(await index()).toBe(before);
    expect(await networkOf(namespace, "tap7")).toEqual(await host(lab));
  });

  test("has IPv4 alone in a namespace without IPv6", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await namespace.shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    await using _pasta = await Background.start(lab, [`${namespace.pid}`]);
    expect(await addressesOf(namespace, "eth0")).toEqual([OWN4]);
  });
});

/** Addresses come before routes. */
function inKinds(one: string, other: string): number {
  const kind = (text: string): number => (text.startsWith("-") ? 1 : 0);
  if (kind(one) !== kind(other)) return kind(one) - kind(other);
  return one < other ? -1 : 1;
}

describe("families", () => {
  test("IPv6 alone, as the host", async ({ lab }) => {
    await using _ = await changed(lab.host.root, ...without4);
    await using guest = await PastaGuest.start(lab);
    expect(await addressesOf(guest.namespace, "eth0")).toEqual([OWN6]);
    expect(await guest.fetch(`http://[${served.http6}]/`)).toBe("ok");
    const why = await failure(lab, "-4");
    expect(why).toBe(
      "pasta: the host has IPv6 (eth0) and no IPv4: leave --ipv4-only out, or give --address\n",
    );
  });

  test("IPv4 alone, as the host", async ({ lab }) => {
    await using _ = await changed(lab.host.root, ...without6);
    await using guest = await PastaGuest.start(lab);
    expect(await addressesOf(guest.namespace, "eth0")).toEqual([OWN4]);
    expect(await guest.fetch(`http://${served.http}/`)).toBe("ok");
  });

  test("one of the host's two", async ({ lab }) => {
    await using guest = await PastaGuest.start(lab, ["-6"]);
    expect(await addressesOf(guest.namespace, "eth0")).toEqual([OWN6]);
  });

  test("without any network the link's own", async ({ lab }) => {
    await using _ = await changed(lab.host.root, ...withoutAny);
    await using guest = await PastaGuest.start(lab);
    expect(await addressesOf(guest.namespace, "tap0")).toEqual(["169.254.2.1/16"]);
    expect(await routesOf(guest.namespace, "tap0")).toEqual([
      "-4 default 169.254.2.2 0",
      "-6 default fe80::1 2048",
    ]);
  });
});

describe("errors", () => {
  test("an interface that the host does not have", async ({ lab }) => {
    const why = await failure(lab, "-i", "eth7");
    expect(why).toBe("pasta: the host has no interface eth7: see ip link\n");
  });

  test("an address of the guest's that is to be Slipway's", async ({ lab }) => {
    const why = await failure(lab, "-g", link.host);
    expect(why).toBe(
      `pasta: ${link.host} is the guest's own address: choose another for Slipway\n`,
    );
  });

  test("IPv6 alone in a namespace without it", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await namespace.shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    const argv = [lab.host.program("pasta"), ...quiet, "-6", `${namespace.pid}`];
    const { code, stderr } = await lab.host.user.run(argv);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: /it has no IPv6/ });
    expect(await namespace.output(["ip", "-brief", "link"])).toMatch(/^lo [^\n]*\n$/);
  });
});

const REAL = "/usr/bin/pasta";

describe.skipIf(!existsSync(REAL))("as the pasta of this machine", () => {
  /** What a guest of a pasta has: the first address of each family, which old versions copy alone, and the routes. */
  async function seenBy(lab: Lab, program: string, ...args: readonly string[]): Promise<unknown> {
    const script = "ip -j address; echo; ip -j -4 route; echo; ip -j -6 route";
    const options = ["--config-net", ...noPorts, "-f", ...args];
    const argv = [program, ...options, "--", "sh", "-c", script];
    const { stdout } = await lab.host.user.run(argv, { timeoutMs: 20_000 });
    const [links, ...routes] = stdout
      .trim()
      .split(/\n+/)
      .map((line) => JSON.parse(line) as unknown);
    return { links: (links as readonly Shown[]).map(linkOf), routes: routes.map(defaultOf) };
  }

  interface Shown {
    readonly ifname: string;
    readonly mtu: number;
    readonly flags: readonly string[];
    readonly addr_info: readonly { local: string; prefixlen: number; scope: string }[];
  }

  function linkOf({ ifname, mtu, flags, addr_info }: Shown): unknown {
    const addresses = addr_info
      .filter(({ scope }) => scope !== "link")
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
    return { ifname, mtu, isUp: flags.includes("UP"), addresses };
  }

  function defaultOf(routes: unknown): unknown {
    return (routes as readonly { dst: string; gateway?: string; dev: string }[])
      .filter(({ dst }) => dst === "default")
      .map(({ gateway, dev }) => ({ gateway, dev }));
  }

  test.for([
    { args: [] },
    { args: ["-4"] },
    { args: ["-6"] },
    { args: ["-a", "192.0.2.66", "-n", "26", "-g", "192.0.2.67"] },
    { args: ["-I", "net7"] },
    { args: ["-m", "1400"] },
    { args: ["-i", "eth0"] },
  ])("with $args", async ({ args }, { lab }) => {
    const ours = await seenBy(lab, lab.host.program("pasta"), ...args);
    expect(ours).toEqual(await seenBy(lab, REAL, ...args));
  });
});
