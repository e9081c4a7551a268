import { failing, guest6, httpName, served } from "../lab/addresses.ts";
import { type Guest, ready } from "../lab/guest.ts";
import { isSlipway } from "../lab/product.ts";
import { startTshark } from "../lab/tshark.ts";
import { describe, expect, test } from "./fixture.ts";

const IPV6 = { ipv6: true };

async function addresses(guest: Guest): Promise<string> {
  return guest.namespace.output(["ip", "-6", "-oneline", "address", "show", "dev", "tap0"]);
}

async function reaches(guest: Guest, destination: string): Promise<boolean> {
  const outcome = await guest.run(["curl", "-sS", "-m", "20", destination]);
  return outcome.code === 0;
}

describe("with -c, when ready is reported", () => {
  test("an address and a default route are there", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    expect(await addresses(guest)).toMatch(/inet6 fd00::64\/64 scope global/);
    const routes = await guest.namespace.output(["ip", "-6", "route"]);
    expect(routes).toMatch(/^default via fe80::2 dev tap0 /m);
  });

  test("the guest reaches the world", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    expect(await reaches(guest, `http://[${served.http6}]/`)).toBe(true);
  });

  test("slipway attach and slipway run have IPv6 by default, as the host has it", async ({
    lab,
    skip,
  }) => {
    if (!isSlipway) skip("other helpers have no such commands");
    const curl = ["curl", "-sS", "-m", "20", `http://[${served.http6}]/`];
    await using namespace = await lab.host.namespace();
    const attached = lab.host.slipway(["attach", "--ready-fd", "3", `${namespace.pid}`], {
      pipes: [3],
    });
    await ready(attached, 3);
    await namespace.output(curl);
    attached.kill("SIGTERM");
    expect((await attached.ended(10_000)).stderr).toBe("");
    const run = await lab.host.slipway(["run", "--", ...curl]).ended(30_000);
    expect(`${run.code} ${run.stderr}`).toBe("0 ");
  });

  test("a namespace with IPv6 disabled has none", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await namespace.shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    const process = lab.host.helper(["-c", "-6", "-r", "3", `${namespace.pid}`, "tap0"], {
      pipes: [3],
    });
    const written: Buffer[] = [];
    for await (const chunk of process.pipe(3)) written.push(chunk);
    expect(Buffer.concat(written).toString()).toBe("1");
    await namespace.output(["curl", "-sS", "-m", "20", `http://${served.http}/`]);
    process.kill("SIGTERM");
    await process.ended(10_000);
  });
});

describe("router advertisements", () => {
  test("give the guest an autoconfigured address, a route and the MTU", async ({ lab }) => {
    await using guest = await lab.guest({ ...IPV6, mtu: 4000 });
    // 64 bits from the interface, the flags of stateless configuration (RFC 4862).
    await expect
      .poll(() => addresses(guest))
      .toMatch(/inet6 fd00::[0-9a-f:]{8,}\/64 scope global dynamic/);
    const routes = await guest.namespace.output(["ip", "-6", "route"]);
    expect(routes).toMatch(/^default via fe80::2 dev tap0 proto ra .*expires \d+sec/m);
    expect(routes).toMatch(/^fd00::\/64 dev tap0 proto kernel/m);
    const mtu = await guest.namespace.output(["cat", "/proc/sys/net/ipv6/conf/tap0/mtu"]);
    expect(mtu.trim()).toBe("4000");
  });

  test("configure a guest that was attached without -c", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const process = lab.host.helper(["-6", "-r", "3", `${namespace.pid}`, "tap0"], { pipes: [3] });
    await process.printed(/Starting/);
    await namespace.shell("ip link set lo up; ip link set tap0 up");
    const curl = ["curl", "-sS", "-m", "20", `http://[${served.http6}]/`];
    await expect.poll(async () => (await namespace.run(curl)).code).toBe(0);
    process.kill("SIGTERM");
    await process.ended(10_000);
  });

  test("carry prefix, DNS server and search list, as tshark reads them", async ({ lab }) => {
    await lab.host.root.shell("echo 'search lab.example' >> /etc/resolv.conf");
    await using guest = await lab.guest(IPV6);
    const filter = "icmp6 and ip6[40] == 134";
    const tshark = await startTshark(guest.namespace, ["-V", "-i", "tap0", "-f", filter]);
    await guest.namespace.shell("ip link set tap0 down; ip link set tap0 up");
    await tshark.printed(/DNS Search List/);
    await tshark.printed(/Domain Names|\n\n/);
    tshark.kill("SIGTERM");
    const { stdout: text } = await tshark.ended(10_000);
    expect(text).toContain("Recursive DNS Servers: fd00::3");
    expect(text).toContain("Domain Names: lab.example");
    expect(text).toContain("Prefix: fd00::");
    expect(text).not.toMatch(/Malformed|Expert Info \((Warning|Error)/);
  });
});

describe("duplicate address detection", () => {
  test("finds no duplicate of the guest's addresses", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    await guest.namespace.shell("ip address add fd00::1234/64 dev tap0");
    await expect.poll(() => addresses(guest)).not.toContain("tentative");
    expect(await addresses(guest)).toContain("fd00::1234/64");
    expect(await addresses(guest)).not.toContain("dadfailed");
  });

  test("finds that the gateway's address is in use", async ({ lab }) => {
    await using guest = await lab.guest(IPV6);
    await guest.namespace.shell(`ip address add ${guest6.gateway}/64 dev tap0`);
    await expect.poll(() => addresses(guest)).toMatch(/fd00::2\/64 .*dadfailed/);
  });
});

describe("--ipv6-cidr", () => {
  test("sets the network", async ({ lab }) => {
    await using guest = await lab.guest({ options: ["--ipv6-cidr=2001:db8:7::/64"] });
    expect(await addresses(guest)).toMatch(/inet6 2001:db8:7::64\/64 scope global/);
    expect(await reaches(guest, `http://[${served.http6}]/`)).toBe(true);
    const command = ["dig", "+short", "@2001:db8:7::3", httpName, "AAAA"];
    expect((await guest.namespace.output(command)).trim()).toBe(served.http6);
  });

  test("turns off autoconfiguration if the length is not /64", async ({ lab }) => {
    await using guest = await lab.guest({ options: ["--ipv6-cidr=2001:db8:7::/80"] });
    expect(await addresses(guest)).toMatch(/inet6 2001:db8:7::64\/80 scope global/);
    expect(await reaches(guest, `http://[${served.http6}]/`)).toBe(true);
    expect(await addresses(guest)).not.toContain("dynamic");
  });
});

describe("in slirp4netns's mode IPv6 is off by default:", () => {
  test("the guest has only a link-local address", async ({ lab }) => {
    await using guest = await lab.guest();
    expect(await addresses(guest)).not.toContain("scope global");
  });
});

describe("slipway run", () => {
  const show = ["ip", "-6", "-oneline", "address", "show", "dev", "tap0"];

  test("has IPv6 if the host has it", async ({ lab }) => {
    const outcome = await lab.host.slipway(["run", "--", ...show]).ended(20_000);
    expect(outcome.stdout).toContain("fd00::64/64");
  });

  test("has none with --no-ipv6", async ({ lab }) => {
    const outcome = await lab.host.slipway(["run", "--no-ipv6", "--", ...show]).ended(20_000);
    expect(outcome.stdout).not.toContain("scope global");
    expect(outcome.code).toBe(0);
  });
});

describe("TCP", () => {
  test.for(["10.0.2.2", guest6.gateway] as const)(
    "through %s reaches the host's loopback of the same family",
    async (gateway, { lab }) => {
      await using guest = await lab.guest(IPV6);
      const loopback = gateway.includes(":") ? "::1" : "127.0.0.1";
      const { port } = await lab.host.agent.echo(loopback);
      const connection = await (await guest.agent()).connect({ address: gateway, port });
      await connection.write("hello");
      expect(await connection.read(5)).toBe("hello");
    },
  );

  test.for([
    [failing.networkUnreachable, "ENETUNREACH"],
    [failing.networkUnreachable6, "ENETUNREACH"],
    [failing.hostUnreachable, "EHOSTUNREACH"],
    [failing.prohibited6, "EACCES"],
    ["10.0.2.77", "EHOSTUNREACH"],
    ["fd00::77", "EHOSTUNREACH"],
  ] as const)("to %s fails with the expected errno: %s", async ([address, code], { lab }) => {
    await using guest = await lab.guest(IPV6);
    const error = await (await guest.agent()).refusal({ address, port: 80 });
    expect(error.code).toBe(code);
  });

  test.for([served.services, served.services6] as const)(
    "to a closed port of %s is refused",
    async (address, { lab }) => {
      await using guest = await lab.guest(IPV6);
      const error = await (await guest.agent()).refusal({ address, port: 9 });
      expect(error.code).toBe("ECONNREFUSED");
    },
  );
});
