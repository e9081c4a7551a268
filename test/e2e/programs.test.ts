import { guest6, httpName, served } from "../lab/addresses.ts";
import type { Guest } from "../lab/guest.ts";
import { startIperf3 } from "../lab/iperf3.ts";
import type { Lab } from "../lab/lab.ts";
import { hops, makePath } from "../lab/path.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Programs that containers run, over both families side by side: one row each. Special points of a
// protocol are tested in the file of its name.

const http = { 4: served.http, 6: served.http6 } as const;
const services = { 4: served.services, 6: served.services6 } as const;
const dns = { 4: "10.0.2.3", 6: guest6.dns } as const;
const gateway = { 4: "10.0.2.2", 6: guest6.gateway } as const;

interface Place {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly family: 4 | 6;
}

/** A guest of both families, in front of three hops. */
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

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Each program, and what it must print. */
const programs: Readonly<Record<string, (place: Place) => Promise<void>>> = {
  "curl, by name": async ({ lab, guest, family }) => {
    const sha256 = await lab.world.http.addFile("program", 1_000_000);
    const got = await guest.namespace.shell(
      `curl -${family} -sS --fail http://${httpName}/program | sha256sum`,
    );
    expect(got.slice(0, 64)).toBe(sha256);
  },
  "getent ahosts": async ({ guest, family }) => {
    const found = await guest.namespace.output(["getent", `ahostsv${family}`, httpName]);
    expect(found).toContain(http[family]);
  },
  "dig, by UDP and TCP": async ({ guest, family }) => {
    for (const protocol of ["+notcp", "+tcp"]) {
      const command = ["dig", "+short", protocol, `@${dns[family]}`, httpName, "AAAA"];
      expect((await guest.namespace.output(command)).trim()).toBe(served.http6);
    }
  },
  ping: async ({ guest, family }) => {
    for (const address of [gateway[family], http[family]]) {
      const command = ["ping", `-${family}`, "-c", "2", "-i", "0.2", "-W", "2", address];
      expect(await guest.namespace.output(command)).toContain("2 received");
    }
  },
  traceroute: async ({ guest, family }) => {
    for (const how of [[], ["-I"]]) {
      const command = ["traceroute", `-${family}`, ...how, "-n", "-q", "1", "-N", "1", "-w", "2"];
      const output = await guest.namespace.output([...command, hops.third[family]]);
      for (const address of [gateway, ...Object.values(hops)]) {
        expect(output).toContain(address[family]);
      }
    }
  },
  tracepath: async ({ guest, family }) => {
    const command = ["tracepath", `-${family}`, "-n", hops.third[family]];
    expect(await guest.namespace.output(command)).toContain("pmtu 1280 hops 4");
  },
  mtr: async ({ guest, family }) => {
    const command = ["mtr", `-${family}`, "-n", "-r", "-c", "1", "-G", "1"];
    expect(await guest.namespace.output([...command, hops.third[family]])).toContain(
      hops.second[family],
    );
  },
  "iperf3 -u, both ways": async ({ lab, guest, family }) => {
    const server = await startIperf3(lab.world.root, services[family]);
    for (const way of [[], ["--reverse"]]) {
      const run = ["iperf3", "--client", server.address, "--udp", "-l", "1200", "-b", "2M"];
      const output = await guest.namespace.output([...run, "--time", "1", "--json", ...way]);
      const { sum } = JSON.parse(output).end;
      // How many arrive depends on the machine; iperf3 itself has checked that they are its own.
      expect(sum.packets - sum.lost_packets).toBeGreaterThan(0);
    }
  },
  "socat, a datagram in fragments": async ({ lab, guest, family }) => {
    const { address, port } = await lab.world.agent.echoUdp(services[family]);
    const to = `UDP${family}:${bracketed(address)}:${port}`;
    const script = `head -c 20000 /dev/zero | tr '\\0' x | socat -b 65507 -t 2 - ${to} | wc -c`;
    expect((await guest.namespace.shell(script)).trim()).toBe("20000");
  },
  "gtlsclient, HTTP/3, from two ports": async ({ lab, guest, family }) => {
    const directory = `${lab.directory}/quic${family}`;
    const port = 4430 + family;
    await lab.world.root.shell(`
      mkdir -p ${directory}/files
      cd ${directory}
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -keyout key -out certificate -subj /CN=${httpName} -days 2 2> openssl.log
      head -c 20000000 /dev/urandom > files/large
      chmod 644 files/large
    `);
    const server = lab.world.root.spawn([
      ...["gtlsserver", services[family], `${port}`, `${directory}/key`],
      ...[`${directory}/certificate`, "-d", `${directory}/files`, "-q"],
    ]);
    await server.printed(/document root/);
    // The change of port is a migration of the connection (RFC 9000 §9): the server probes the new path, and
    // the connection continues there.
    const client = await guest.namespace.shell(`
      mkdir ${directory}.got
      gtlsclient ${services[family]} ${port} https://${httpName}:${port}/large \
        --download=${directory}.got --exit-on-all-streams-close --no-quic-dump --no-http-dump \
        --change-local-addr=20ms 2>&1
    `);
    expect(client).toMatch(/Changing local address.*path has been validated/s);
    await guest.namespace.output(["cmp", `${directory}.got/large`, `${directory}/files/large`]);
    server.kill("SIGTERM");
    await server.ended(10_000);
  },
};

describe.for(Object.entries(programs))("%s", ([, seen]) => {
  test.for([4, 6] as const)("IPv%i", async (family, { lab, guest }) => {
    await seen({ lab, guest, family });
  });
});
