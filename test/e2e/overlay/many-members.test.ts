import { expect } from "vitest";
import { eventually } from "../daemon-user.ts";
import { hashOf, NEIGHBOURS_TIMEOUT_MS, Neighbour } from "../neighbours.ts";
import { clusterTest } from "./cluster-user.ts";

const test = clusterTest();

/** Members of each host. */
const MEMBERS = 100;

test(
  `${MEMBERS} members on each of three hosts fetch from one on the next host, all at once`,
  async ({ cluster, annotate }) => {
    const { hosts } = cluster;
    const options = ["--driver", "overlay", "--ipv6", "--subnet", "10.77.0.0/16"];
    await hosts[0].ok("network", "create", ...options, "many");
    for (const host of hosts) await eventually(() => host.inspect("many"));
    const groups = await Promise.all(
      hosts.map(({ host }, index) => Neighbour.start(host, index * MEMBERS, MEMBERS)),
    );
    const connected = await Promise.all(
      hosts.map((host, index) => Neighbour.connect(host, "many", groups[index])),
    );
    const members = groups.flat();
    const addresses = connected.flatMap((each) => each.addresses);
    const next = (index: number): number => (index + MEMBERS) % members.length;
    expect(new Set(addresses.flat()).size).toBe(2 * members.length);
    for (const [index, member] of members.entries()) {
      member.fetchFrom(addresses[next(index)], index % 2 === 0 ? 4 : 6);
    }
    const fetched = await Neighbour.finish(members);
    const seconds = connected.map((each) => each.seconds.toFixed(1));
    await annotate(`connected in ${seconds.join(", ")} s`, "measured");
    expect(fetched).toEqual(members.map((_, index) => hashOf(next(index))));
  },
  2 * NEIGHBOURS_TIMEOUT_MS,
);
