import { afterAll, beforeAll, describe, test } from "vitest";
import { Loop } from "../../src/loop/loop.js";
import { keyPairOf } from "../../src/sys/crypto/x25519.js";
import { randomBytes } from "../../src/sys/random.js";
import { endStage, Host, member, Place, VNI } from "./stage.js";
import { expectTransfer } from "./traffic.js";

// A path between hosts that is narrower than the members were told, and nobody says so: test/e2e/overlay/paths.test.ts
// has those that the hosts know of.

const loop = new Loop();

beforeAll(() => loop.start());
afterAll(() => {
  loop.stop();
  endStage();
});

const [near, far] = [member("near", 2), member("far", 3)];
const OTHER = { kind: "host", host: "other" } as const;

interface Carrier {
  readonly kind: "vxlan" | "wireguard";
  readonly port: number;
  readonly mtu: number;
}

const VXLAN: Carrier = { kind: "vxlan", port: 4789, mtu: 1450 };
const WIREGUARD: Carrier = { kind: "wireguard", port: 51_820, mtu: 1420 };

/** A member on each of two hosts. */
async function joined(
  underlay: readonly [Place, Place],
  addresses: readonly [string, string],
  { kind, port, mtu }: Carrier,
): Promise<readonly [Place, Place]> {
  const hosts = [new Host(loop, underlay[0]), new Host(loop, underlay[1])] as const;
  const secrets = [randomBytes(32), randomBytes(32)];
  const keys = secrets.map((secret) => keyPairOf(secret).publicKey);
  for (const [index, host] of hosts.entries()) {
    const carrier = kind === "vxlan" ? ({ kind, vni: VNI } as const) : ({ kind } as const);
    await host.open(carrier, addresses[index], port, mtu, secrets[index]);
    host.learnHost("other", addresses[1 - index], port, keys[1 - index]);
  }
  hosts[0].learnRemote(far, OTHER);
  hosts[1].learnRemote(near, OTHER);
  return [await hosts[0].join(near, mtu), await hosts[1].join(far, mtu)];
}

/** Two hosts, and between them a router whose link to the second is narrow. It says so to nobody. */
async function makeBlackHole(): Promise<readonly [Place, Place]> {
  const one = await Place.make();
  const router = await one.beside();
  const two = await one.beside();
  await one.shell(`
    ip link add eth0 type veth peer name eth0 netns ${router.pid}
    ip addr add 192.0.2.1/24 dev eth0
    ip link set eth0 up`);
  await two.shell(`
    ip link add eth0 type veth peer name eth1 netns ${router.pid}
    ip addr add 198.51.100.2/24 dev eth0
    ip link set eth0 mtu 1300 up
    ip route add default via 198.51.100.254`);
  await router.shell(`
    sysctl -qw net.ipv4.ip_forward=1
    ip addr add 192.0.2.254/24 dev eth0
    ip addr add 198.51.100.254/24 dev eth1
    ip link set eth0 up
    ip link set eth1 mtu 1300 up
    # To the hosts nothing leads that begins here: what the router itself sends is lost.
    ip rule add from 192.0.2.254 priority 10 blackhole
    ip rule add from 198.51.100.254 priority 10 blackhole`);
  await one.shell("ip route add default via 192.0.2.254");
  return [one, two];
}

describe.each([VXLAN, WIREGUARD])("over $kind", (carrier) => {
  test("a router with a narrow link that tells nobody loses nothing", async () => {
    const underlay = await makeBlackHole();
    const [a, b] = await joined(underlay, ["192.0.2.1", "198.51.100.2"], carrier);
    for (const index of [0, 1]) {
      await expectTransfer(a, b, far.addresses[index], 2_000_003);
      await expectTransfer(b, a, near.addresses[index], 2_000_003);
    }
  });
});
