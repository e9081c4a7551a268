import { expect } from "vitest";
import { underlay } from "../../lab/cluster.ts";
import type { HeldNamespace, Namespace } from "../../lab/namespace.ts";
import { eventually, type Member } from "../daemon-user.ts";
import { clusterTest, pings, transfer } from "./cluster-user.ts";

// Machines without Slipway as members: one with the kernel's VXLAN device, one with Debian's wireguard-go.

const test = clusterTest();

async function bothWays(member: Member, box: Namespace, address: string): Promise<void> {
  await pings(box, member.addresses.v4);
  await pings(member.namespace, address);
  await transfer(member.namespace, box, address);
  await transfer(box, member.namespace, member.addresses.v4);
}

test("a machine with a VXLAN device of the kernel is a member of a plain network", async ({
  cluster,
}) => {
  const { hosts, lab } = cluster;
  const create = ["network", "create", "--driver", "overlay", "--subnet", "10.231.0.0/16"];
  await hosts[0].ok(...create, "--opt", "encrypted=false", "--opt", "vni=42", "plain");
  await Promise.all(hosts.map((host) => eventually(() => host.inspect("plain"))));
  const [mac, address] = ["02:00:00:00:09:02", "10.231.9.2"];
  const peer = ["--vtep", underlay.machine(0), "--ip", address, "--mac", mac];
  await hosts[1].ok("network", "peer", "add", "plain", "box", ...peer);
  expect(await hosts[2].ok("network", "peer", "ls", "plain")).toContain("box");
  expect(await hosts[1].refusal("network", "peer", "add", "plain", "x", "--wireguard")).toContain(
    "not encrypted",
  );
  const a = await hosts[0].member("plain", "plain-a");
  const b = await hosts[1].member("plain", "plain-b");
  await using box = await lab.machine(0);
  await box.shell(`
    ip link add vx0 address ${mac} type vxlan id 42 dstport 4789 local ${underlay.machine(0)} nolearning
    ip address add ${address}/16 dev vx0
    ip link set vx0 mtu 1450 up
    bridge fdb append 00:00:00:00:00:00 dev vx0 dst ${underlay.host(0)}
    bridge fdb append 00:00:00:00:00:00 dev vx0 dst ${underlay.host(1)}
  `);
  await bothWays(a, box, address);
  await pings(b.namespace, "box");
  await pings(box, b.addresses.v4);
  // Not with an address that it was not given.
  await box.shell("ip address add 10.231.9.3/16 dev vx0");
  expect(
    (await box.run(["ping", "-n", "-c", "1", "-W", "1", "-I", "10.231.9.3", a.addresses.v4])).code,
  ).not.toBe(0);
  await hosts[2].ok("network", "peer", "rm", "plain", "box");
  await eventually(async () =>
    expect((await a.namespace.run(["getent", "hosts", "box"])).code).not.toBe(0),
  );
});

/** wireguard-go with a file of `peer add --wireguard`, as wg-quick(8) does it. */
async function startWireGuard(machine: HeldNamespace, configuration: string): Promise<string> {
  const value = (name: string) =>
    new RegExp(`^${name} = (.*)$`, "m").exec(configuration)?.[1] ?? "";
  await machine.shell(`
    mount -t tmpfs tmpfs /run
    mkdir /run/wireguard
  `);
  const server = machine.spawn(["wireguard-go", "-f", "wg0"]);
  await eventually(() => machine.output(["test", "-S", "/run/wireguard/wg0.sock"]));
  const known = configuration.split("\n").filter((line) => !/^(Address|MTU) = /.test(line));
  await machine.output(["sh", "-c", "cat | wg setconf wg0 /dev/stdin"], {
    input: known.join("\n"),
  });
  const addresses = value("Address").split(", ");
  await machine.shell(`
    ${addresses.map((each) => `ip address add ${each} dev wg0`).join("\n")}
    ip link set wg0 mtu ${value("MTU")} up
    ${value("AllowedIPs")
      .split(", ")
      .map((each) => `ip route add ${each} dev wg0`)
      .join("\n")}
  `);
  expect(server.running).toBe(true);
  return addresses[0].split("/")[0];
}

test("a WireGuard client is a member of an encrypted network, by the host that it was added at", async ({
  cluster,
}) => {
  const { hosts, lab } = cluster;
  await hosts[0].ok(
    "network",
    "create",
    "--driver",
    "overlay",
    "--subnet",
    "10.232.0.0/16",
    "secret",
  );
  await Promise.all(hosts.map((host) => eventually(() => host.inspect("secret"))));
  expect(
    await hosts[0].refusal(
      ...["network", "peer", "add", "secret", "x", "--vtep", "192.0.2.9"],
      ...["--ip", "10.232.9.9", "--mac", "02:00:00:00:00:01"],
    ),
  ).toContain("encrypted");
  // A host that has no members of its own on the network.
  const configuration = await hosts[2].ok(
    "network",
    "peer",
    "add",
    "secret",
    "laptop",
    "--wireguard",
  );
  expect(configuration).toContain(`Endpoint = ${underlay.host(2)}:51820`);
  const a = await hosts[0].member("secret", "secret-a");
  await using laptop = await lab.machine(1);
  const address = await startWireGuard(laptop, configuration);
  await bothWays(a, laptop, address);
  await pings(a.namespace, "laptop");
  // The next daemon of that host lets it in again. A client begins anew when nothing has come for 15 s (KEEPALIVE_TIMEOUT
  // and REKEY_TIMEOUT of WireGuard).
  await hosts[2].kill();
  await pings(laptop, a.addresses.v4, 60_000);
  await pings(a.namespace, address);
  // A host with members, and with the client at once.
  const c = await hosts[2].member("secret", "secret-c");
  await bothWays(c, laptop, address);
  await hosts[1].ok("network", "peer", "rm", "secret", "laptop");
  await eventually(async () =>
    expect((await a.namespace.run(["getent", "hosts", "laptop"])).code).not.toBe(0),
  );
  expect((await laptop.run(["ping", "-n", "-c", "1", "-W", "1", a.addresses.v4])).code).not.toBe(0);
});
