import { guest6, link, served } from "../lab/addresses.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { startTshark } from "../lab/tshark.ts";
import { withAttached } from "./attached.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { describe, expect, test } from "./fixture.ts";

// Where a destination leads (docs/behaviour.md): both families side by side.

/** Further addresses of the host, to be used as sources. */
const other = { 4: "198.51.100.77", 6: "2001:db8:0:1::77" } as const;

async function giveOtherAddresses(lab: Lab): Promise<void> {
  await lab.host.root.shell(`
    ip address replace ${other[4]}/32 dev eth0
    ip address replace ${other[6]}/128 dev eth0 nodad
  `);
}

/** Removes the guest's own loopback, so that its packets to such addresses reach Slipway. */
async function routeLoopback(guest: Guest): Promise<void> {
  await guest.namespace.shell(`
    ip route del local 127.0.0.0/8 dev lo table local
    ip route del local 127.0.0.1 dev lo table local
    ip -6 route del local ::1 dev lo table local
    ip -6 route del ::1 dev lo 2>/dev/null || true
  `);
}

function connects(guest: Guest, address: string, port: number): Promise<boolean> {
  const host = address.includes(":") ? `[${address}]` : address;
  const command = ["curl", "-g", "-sS", "-m", "2", `telnet://${host}:${port}`];
  // Once connected, curl waits for data until its time limit (28), as it does for an answer to a SYN.
  return guest.run([...command, "-w", "%{time_connect}"]).then(({ stdout }) => Number(stdout) > 0);
}

describe("the gateway", () => {
  test.for([
    ["10.0.2.2", "127.0.0.1"],
    [guest6.gateway, "::1"],
    [`${guest6.router}%tap0`, "::1"],
  ] as const)("%s leads to %s of the host, if allowed", async (pair, { lab }) => {
    const [gateway, loopback] = pair;
    const { port } = await lab.host.agent.echo(loopback);
    await using open = await lab.guest({ ipv6: true });
    expect(await connects(open, gateway, port)).toBe(true);
    await using closed = await lab.guest({ ipv6: true, hostLoopback: false });
    expect(await connects(closed, gateway, port)).toBe(false);
  });
});

describe.each([true, false])("with host loopback %s no guest reaches it at", (hostLoopback) => {
  test("any other spelling, or at an unspecified address", async ({ lab }) => {
    await using guest = await lab.guest({ ipv6: true, hostLoopback });
    await routeLoopback(guest);
    const anywhere = {
      4: await lab.host.agent.echo("0.0.0.0"),
      6: await lab.host.agent.echo("::"),
    };
    const spellings = [
      ...["127.0.0.1", "127.8.9.1", "::ffff:127.0.0.1", "10.0.2.3", "10.0.2.77"],
      ...["::1", guest6.dns, "fd00::77", "fe80::1%tap0", "::7f00:1"],
    ];
    const reached = await Promise.all(
      spellings.map(async (spelling) => {
        const family = spelling.includes(".") ? 4 : 6;
        return (await connects(guest, spelling, anywhere[family].port)) ? [spelling] : [];
      }),
    );
    expect(reached.flat()).toEqual([]);
    // The same listeners are reached at the host's other addresses.
    expect(await connects(guest, link.host, anywhere[4].port)).toBe(true);
    expect(await connects(guest, link.host6, anywhere[6].port)).toBe(true);
  });
});

describe("--host-address", () => {
  test.for([
    [4, served.services, link.host, link.world],
    [6, served.services6, link.host6, link.world6],
  ] as const)("is what a run sends from and listens at over IPv%i", async (row, { lab }) => {
    const [family, server, elsewhere, world] = row;
    await giveOtherAddresses(lab);
    const options = ["--host-address", other[4], "--host-address", other[6]];
    await withAttached(lab, options, async ({ process, agent }) => {
      const listener = await lab.world.agent.listen(server);
      const [, accepted] = await Promise.all([agent.connect(listener.endpoint), listener.accept()]);
      expect(accepted.client.address).toBe(other[family]);
      const inside = await agent.listen("::", 8140 + family);
      // Of this family: the other may be published before.
      const line = family === 4 ? `${other[4]}` : `\\[${other[6]}\\]`;
      await process.printed(new RegExp(`^published ${line}:${8140 + family} `, "m"));
      const published = { address: other[family], port: 8140 + family };
      const outside = await lab.world.agent.connect(published);
      expect((await inside.accept()).client.address.replace("::ffff:", "")).toBe(world);
      await outside.close();
      const there = { address: elsewhere, port: 8140 + family };
      expect((await lab.world.agent.refusal(there)).code).toBe("ECONNREFUSED");
    });
  });

  test("is what a member of a network has, or nobody if the host does not have it", async ({
    lab,
  }) => {
    await giveOtherAddresses(lab);
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "addressed");
    const listener = await lab.world.agent.listen(served.services, 8150);
    const serve = `exec busybox nc -ll -p 8151 -e busybox nc ${served.services} 8150`;
    const args = ["--network", "addressed", "--name", "web", "--", "sh", "-c", serve];
    const run = user.run("--host-address", other[4], ...args);
    const serves = async () => {
      const outside = await lab.world.agent.connect({ address: other[4], port: 8151 });
      const accepted = await listener.accept();
      expect(accepted.client.address).toBe(other[4]);
      await accepted.write("hello");
      expect(await outside.read(5)).toBe("hello");
    };
    await eventually(serves);
    // It has it with the next daemon, too.
    const daemon = () => user.ok("daemon", "status", "--format", "{{.pid}}");
    const before = await daemon();
    await user.kill();
    await eventually(async () => expect(await daemon()).not.toBe(before));
    await eventually(serves);
    const elsewhere = { address: link.host, port: 8151 };
    expect((await lab.world.agent.refusal(elsewhere)).code).toBe("ECONNREFUSED");
    run.kill("SIGTERM");
    await run.ended(10_000);
    const refused = await user.refusal("run", "--host-address", served.services, ...args);
    expect(refused).toMatch(
      /^1 slipway: --host-address 203\.0\.113\.20 is neither an IPv4 address/,
    );
  });
});

describe("--outbound-addr and --outbound-addr6", () => {
  test.for([
    [4, served.services],
    [6, served.services6],
  ] as const)("are the source of TCP and UDP over IPv%i", async ([family, server], { lab }) => {
    await giveOtherAddresses(lab);
    const options = [`--outbound-addr=${other[4]}`, `--outbound-addr6=${other[6]}`];
    await using guest = await lab.guest({ ipv6: true, options });
    const agent = await guest.agent();
    const listener = await lab.world.agent.listen(server);
    const [, accepted] = await Promise.all([agent.connect(listener.endpoint), listener.accept()]);
    expect(accepted.client.address).toBe(other[family]);
    const datagrams = await lab.world.agent.udp(server);
    const socket = await agent.udp(family === 4 ? "0.0.0.0" : "::");
    await socket.send(datagrams.endpoint, "hello");
    expect((await datagrams.receive()).from.address).toBe(other[family]);
  });

  test.for([
    [4, served.services, "icmp[0]=8", "ip.src"],
    [6, served.services6, "icmp6[0]=128", "ipv6.src"],
  ] as const)("are the source of ping over IPv%i", async (row, { lab }) => {
    const [family, server, filter, field] = row;
    await giveOtherAddresses(lab);
    const options = [`--outbound-addr=${other[4]}`, `--outbound-addr6=${other[6]}`];
    await using guest = await lab.guest({ ipv6: true, options });
    const capture = await startTshark(lab.world.root, [
      ...["-i", "host", "-c", "1", "-f", filter, "-T", "fields", "-e", field],
    ]);
    await guest.namespace.output(["ping", "-c", "2", "-i", "0.2", "-W", "2", server]);
    expect((await capture.ended(10_000)).stdout.trim()).toBe(other[family]);
  });

  test("are the source of DNS queries", async ({ lab }) => {
    await giveOtherAddresses(lab);
    await lab.host.root.shell(`echo 'nameserver ${served.services}' > /etc/resolv.conf`);
    await using guest = await lab.guest({ options: [`--outbound-addr=${other[4]}`] });
    const server = await lab.world.agent.udp(served.services, 53);
    const query = guest.run(["dig", "+tries=1", "+time=1", "@10.0.2.3", "a.example"]);
    expect((await server.receive()).from.address).toBe(other[4]);
    await query;
  });

  test("accept an interface", async ({ lab }) => {
    const options = ["--outbound-addr=eth0", "--outbound-addr6=eth0"];
    await using guest = await lab.guest({ ipv6: true, options });
    // The interface chooses which of its addresses.
    expect(guest.helper.stdout).toMatch(/Outbound IPv4: +198\.51\.100\.\d+\n/);
    expect(guest.helper.stdout).toMatch(/Outbound IPv6: +2001:db8:0:1::[0-9a-f]+\n/);
    const listener = await lab.world.agent.listen(served.services);
    const agent = await guest.agent();
    const [, accepted] = await Promise.all([agent.connect(listener.endpoint), listener.accept()]);
    expect(guest.helper.stdout).toContain(accepted.client.address);
  });

  test("leave the host's loopback reachable", async ({ lab }) => {
    await giveOtherAddresses(lab);
    const { port } = await lab.host.agent.echo("127.0.0.1");
    await using guest = await lab.guest({ options: [`--outbound-addr=${other[4]}`] });
    expect(await connects(guest, "10.0.2.2", port)).toBe(true);
  });

  test.for(["192.0.2.250", "nodev0"])("refuse the foreign address %s", async (text, { lab }) => {
    await using namespace = await lab.host.namespace();
    const helper = lab.host.helper([`--outbound-addr=${text}`, `${namespace.pid}`, "tap0"]);
    const { code, stderr } = await helper.ended(10_000);
    expect(code).toBe(1);
    expect(stderr).toContain(`--outbound-addr ${text} is neither an IPv4 address of this machine`);
  });
});
