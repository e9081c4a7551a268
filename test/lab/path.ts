import type { Lab } from "./lab.ts";
import type { Namespace } from "./namespace.ts";

/** The hops behind the host, in order; the third is the end of the path. */
export const hops = {
  first: { 4: "198.51.100.1", 6: "2001:db8:0:1::1" },
  second: { 4: "203.0.113.130", 6: "2001:db8:0:3::2" },
  third: { 4: "203.0.113.134", 6: "2001:db8:0:4::2" },
} as const;

/**
 * Puts two more hops behind the world: host – world – second – third.
 * @param mtu of the last link, in bytes
 * @returns the third, where a test may run servers
 */
export async function makePath(lab: Lab, mtu = 1500): Promise<Namespace> {
  const world = lab.world.root;
  const second = await world.unshare(["net"]);
  const third = await world.unshare(["net"]);
  await world.shell(`
    ip link add second type veth peer name world netns ${second.pid}
    ${prepare}
    ip -batch - <<END
link set second up
address add 203.0.113.129/30 dev second
address add 2001:db8:0:3::1/64 dev second nodad
route add 203.0.113.132/30 via ${hops.second[4]}
route add 2001:db8:0:4::/64 via ${hops.second[6]}
END
  `);
  await second.shell(`
    ip link add third mtu ${mtu} type veth peer name second mtu ${mtu} netns ${third.pid}
    ${prepare}
    ip -batch - <<END
link set world up
link set third up
address add ${hops.second[4]}/30 dev world
address add ${hops.second[6]}/64 dev world nodad
address add 203.0.113.133/30 dev third
address add 2001:db8:0:4::1/64 dev third nodad
route add default via 203.0.113.129
route add default via 2001:db8:0:3::1
END
  `);
  await third.shell(`
    ${prepare}
    ip -batch - <<END
link set lo up
link set second up
address add ${hops.third[4]}/30 dev second
address add ${hops.third[6]}/64 dev second nodad
route add default via 203.0.113.133
route add default via 2001:db8:0:4::1
END
  `);
  await reachable(world);
  return third;
}

/** Until the routers know each other's Ethernet addresses, some packets are lost. */
async function reachable(world: Namespace): Promise<void> {
  for (const address of Object.values(hops.third)) {
    await world.shell(`
      for attempt in 1 2 3 4 5 6 7 8 9; do ping -n -q -c 1 -W 1 ${address} >&2 && exit; done
      exit 1
    `);
  }
}

/** Each hop forwards, and sends ICMP errors without a rate limit. */
const prepare = `
    cd /proc/sys/net
    echo 1 > ipv4/ip_forward
    echo 1 > ipv6/conf/all/forwarding
    echo 0 > ipv4/icmp_ratelimit
    echo 0 > ipv6/icmp/ratelimit
`;
