import { setTimeout as delay } from "node:timers/promises";
import { failing, served } from "../lab/addresses.ts";
import type { Guest } from "../lab/guest.ts";
import { Lab } from "../lab/lab.ts";
import { hops, makePath } from "../lab/path.ts";
import { isSlipway } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { startTshark } from "../lab/tshark.ts";
import { test as base, describe, expect } from "./fixture.ts";

/** A lab with three hops behind the host, the last over a link with an MTU of 1,280. */
const test = base.extend<{ guest: Guest }>({
  guest: [
    async ({ lab }, use) => {
      await makePath(lab, 1280);
      await using guest = await lab.guest({ ipv6: true });
      await use(guest);
    },
    { scope: "file" },
  ],
});

const gateway = { 4: "10.0.2.2", 6: "fd00::2" } as const;
const http = { 4: served.http, 6: served.http6 } as const;
const closed = { 4: served.services, 6: served.services6 } as const;

/** Linux limits how often it reports that a route is unreachable, whatever the rate of ICMP. */
const pingThrice = ["ping", "-n", "-c", "3", "-i", "0.5", "-W", "1"];

/** Every hop of the path as the guest sees it: Slipway is the first. */
const path = (family: 4 | 6) => [gateway[family], ...Object.values(hops).map((hop) => hop[family])];

describe.skipIf(!isSlipway).for([4, 6] as const)("IPv%i", (family) => {
  test.for([56, 1472, 8_000, 65_000])("a ping of %i bytes is answered", async (size, { guest }) => {
    const ping = ["ping", "-c", "2", "-i", "0.2", "-W", "2", "-s", `${size}`, http[family]];
    const outcome = await guest.run(ping);
    expect(outcome.stdout).toContain("2 received");
    // The echo leaves the world with 64 hops left; Slipway is one of them.
    expect(outcome.stdout).toContain("ttl=63");
  });

  test("a ping of 65,000 bytes to the gateway is answered", async ({ guest }) => {
    const outcome = await guest.run(["ping", "-c", "1", "-W", "2", "-s", "65000", gateway[family]]);
    expect(outcome.stdout).toContain("1 received");
  });

  test("a ping whose hop limit is used up gets time exceeded from the gateway", async ({
    guest,
  }) => {
    const outcome = await guest.run(["ping", "-n", "-c", "1", "-W", "2", "-t", "1", http[family]]);
    expect(outcome.stdout).toMatch(
      new RegExp(`From ${gateway[family]}:? icmp_seq=1 Time (to live )?exceeded`),
    );
  });

  test.for([["UDP"], ["ICMP", "-I"]])(
    "traceroute by %s works",
    async ([, ...options], { guest }) => {
      const command = ["traceroute", `-${family}`, "-n", "-q", "1", "-N", "1", "-w", "2"];
      const output = await guest.namespace.output([...command, ...options, hops.third[family]]);
      const answers = [...output.matchAll(/^ *\d+ +([0-9a-f.:]+) /gm)].map(
        ([, address]) => address,
      );
      expect(answers).toEqual(path(family));
    },
  );

  test("tracepath finds the narrow link and the hops back", async ({ guest }) => {
    const output = await guest.namespace.output(["tracepath", "-n", hops.third[family]]);
    expect(output).toContain("Resume: pmtu 1280 hops 4 back 4");
  });

  test.for([["ICMP"], ["UDP", "-u"]])("mtr by %s works", async ([, ...options], { guest }) => {
    const command = ["mtr", "-n", "-r", "-c", "1", ...options, hops.third[family]];
    const output = await guest.namespace.output(command);
    const answers = [...output.matchAll(/\|-- (\S+) +0\.0%/g)].map(([, address]) => address);
    expect(answers).toEqual(path(family));
  });

  test("an unfragmentable packet too long for a link gets the router's error", async ({
    guest,
  }) => {
    const command = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-M", "do", "-s", "1400"];
    const outcome = await guest.run([...command, hops.third[family]]);
    expect(outcome.stdout + outcome.stderr).toMatch(/mtu[=:] ?1280/);
  });

  test("packets leave the host with the guest's service class and hop limit", async ({
    guest,
    lab,
  }) => {
    const fields = {
      4: ["icmp[0]=8", "ip.dsfield", "ip.ttl"],
      6: ["icmp6[0]=128", "ipv6.tclass", "ipv6.hlim"],
    } as const;
    const [filter, trafficClass, hopLimit] = fields[family];
    const capture = await startTshark(lab.world.root, [
      ...["-i", "host", "-c", "1", "-f", filter],
      ...["-T", "fields", "-e", trafficClass, "-e", hopLimit],
    ]);
    await guest.run(["ping", "-c", "3", "-i", "0.3", "-Q", "0xb9", "-t", "50", http[family]]);
    const { stdout } = await capture.ended(10_000);
    expect(stdout.trim().split("\t").map(Number)).toEqual([0xb9, 49]);
  });

  test("a closed UDP port refuses", async ({ guest }) => {
    const command = ["dig", "+tries=1", "+timeout=3", "-p", "777", `@${closed[family]}`, "x"];
    const outcome = await guest.run(command);
    expect(outcome.stdout).toContain("connection refused");
  });

  test("errors of the host itself come from the gateway", async ({ guest, lab }) => {
    // A neighbor of the host that does not answer: the host reports that itself.
    const absent = { 4: "198.51.100.99", 6: "2001:db8:0:1::99" } as const;
    await lab.host.root.shell(`
      for option in mcast_solicit ucast_solicit; do
        echo 1 > /proc/sys/net/ipv${family}/neigh/eth0/$option
      done
    `);
    const outcome = await guest.run(["ping", "-n", "-c", "1", "-W", "10", absent[family]]);
    expect(outcome.stdout).toMatch(
      new RegExp(`From ${gateway[family]} icmp_seq=1 Destination (Host U|u).*nreachable`),
    );
  });

  test("errors are rate-limited, and omitted ones are counted", async ({ lab }) => {
    await using guest = await lab.guest({ ipv6: true, options: ["--stats"] });
    const ping = () => guest.run(["ping", "-c", "1", "-W", "5", gateway[family]]);
    await ping();
    const count = 5_000;
    const to = family === 4 ? `UDP4-SENDTO:${http[4]}:9,ttl=1` : `UDP6-SENDTO:[${http[6]}]:9`;
    const hops = family === 4 ? "" : ",ipv6-unicast-hops=1";
    // One byte per datagram, as fast as possible.
    await guest.namespace.shell(`head -c ${count} /dev/zero | socat -u -b1 - ${to}${hops}`);
    // The answered one came after them all.
    await ping();
    const told = await guest.namespace.shell(
      family === 4
        ? "awk '/^Icmp: [0-9]/ { print $6 }' /proc/net/snmp"
        : "awk '/^Icmp6InTimeExcds/ { print $2 }' /proc/net/snmp6",
    );
    const figures = await finalFigures(guest);
    expect(figures.get("dropped ip-hop-limit")).toBe(count);
    expect(Number(told)).toBeGreaterThan(0);
    expect(figures.get("dropped limit-icmp-errors")).toBe(count - Number(told));
  });

  test("a network without a route is unreachable", async ({ guest }) => {
    const nowhere = { 4: failing.networkUnreachable, 6: "2001:db8:0:99::1" } as const;
    const outcome = await guest.run([...pingThrice, nowhere[family]]);
    const from = hops.first[family].replaceAll(".", "\\.");
    expect(outcome.stdout).toMatch(new RegExp(`From ${from} icmp_seq=\\d Destination (Net|unr)`));
  });
});

describe.skipIf(!isSlipway)("IPv4 distinguishes", () => {
  test.for([
    ["host unreachable", failing.hostUnreachable, hops.first[4], "Destination Host"],
    ["prohibited", failing.prohibited, hops.first[4], "Packet filtered"],
    ["no route of the host's", failing.noRoute, gateway[4], "Destination Net"],
  ] as const)("%s", async ([, address, from, says], { guest }) => {
    const outcome = await guest.run([...pingThrice, address]);
    expect(outcome.stdout).toMatch(new RegExp(`From ${from} icmp_seq=\\d ${says}`));
  });
});

describe.skipIf(!isSlipway)("a guest whose MTU is larger than the host's link", () => {
  base.for([4, 6] as const)("learns the limit from the gateway, IPv%i", async (family, { lab }) => {
    await using guest = await lab.guest({ ipv6: true, mtu: 65_520 });
    const ping = ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-M", "do", "-s", "3000"];
    const { stdout, stderr } = await guest.run([...ping, http[family]]);
    expect(stdout + stderr).toMatch(new RegExp(`From ${gateway[family]}.*mtu ?= ?1500|mtu: 1500`));
    const services = family === 4 ? served.services : served.services6;
    const echo = await lab.world.agent.echoUdp(services);
    const socket = await (await guest.agent()).udp(family === 4 ? "0.0.0.0" : "::");
    const text = "long ".repeat(1000);
    // The first is refused, as by any router; the guest fragments the following ones.
    const answer = socket.receive(20_000);
    for (let count = 0; count < 5; count += 1) {
      await socket.send(echo, text);
      await delay(200);
    }
    expect(await answer).toEqual({ text, from: echo });
  });
});

describe.skipIf(!isSlipway)("where the host permits no ping", () => {
  base("the gateway answers, others are prohibited, one warning says why", async ({ skip }) => {
    await using lab = await Lab.create();
    // Below a user namespace a range must name groups that are mapped there: none can be left out.
    skip(!lab.host.stage.privileged);
    await lab.host.root.shell("echo 1 0 > /proc/sys/net/ipv4/ping_group_range");
    await using guest = await lab.guest({ ipv6: true });
    for (const family of [4, 6] as const) {
      const ping = ["ping", "-n", "-c", "1", "-W", "2"];
      expect((await guest.run([...ping, gateway[family]])).stdout).toContain("1 received");
      const outcome = await guest.run([...ping, http[family]]);
      const prohibited = family === 4 ? "Packet filtered" : "Administratively prohibited";
      expect(outcome.stdout).toContain(`From ${gateway[family]} icmp_seq=1 `);
      expect(outcome.stdout).toContain(prohibited);
    }
    expect(guest.helper.stderr.match(/warning:.*net\.ipv4\.ping_group_range/g)).toHaveLength(1);
  });
});
