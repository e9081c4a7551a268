import { failing, httpName, served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { Endpoint } from "../lab/agent/protocol.ts";
import type { Guest, GuestOptions } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { startTshark } from "../lab/tshark.ts";
import { describe, expect, test } from "./fixture.ts";

// Tests that slirp4netns is known to fail: against it, these prove nothing.
const truthful = test.runIf(isSlipway);

/** Both ends of one connection from a guest into the world. */
function connection(lab: Lab, guest: Guest): Promise<{ in: Connection; out: Connection }> {
  return connectionTo(lab, guest, served.services);
}

async function connectionTo(
  lab: Lab,
  guest: Guest,
  address: string,
): Promise<{ in: Connection; out: Connection }> {
  await using listener = await lab.world.agent.listen(address);
  const inside = await (await guest.agent()).connect(listener.endpoint);
  const outside = await listener.accept();
  return { in: inside, out: outside };
}

describe("a half-closed connection still carries data", () => {
  test("when the guest has closed its side", async ({ lab }) => {
    await using guest = await lab.guest();
    const ends = await connection(lab, guest);
    await ends.in.write("the request");
    await ends.in.end();
    expect(await ends.out.readToEnd()).toBe("the request");
    await ends.out.write("the answer");
    await ends.out.end();
    expect(await ends.in.readToEnd()).toBe("the answer");
  });

  test("when the world has closed its side", async ({ lab }) => {
    await using guest = await lab.guest();
    const ends = await connection(lab, guest);
    await ends.out.write("a greeting");
    await ends.out.end();
    expect(await ends.in.readToEnd()).toBe("a greeting");
    await ends.in.write("a late word");
    await ends.in.end();
    expect(await ends.out.readToEnd()).toBe("a late word");
  });
});

describe("RST passes", () => {
  truthful("from the guest to the world", async ({ lab }) => {
    await using guest = await lab.guest();
    const ends = await connection(lab, guest);
    await ends.in.write("x");
    expect(await ends.out.read(1)).toBe("x");
    await ends.in.reset();
    expect(await ends.out.closed()).toBe("ECONNRESET");
  });

  truthful("from the world to the guest", async ({ lab }) => {
    await using guest = await lab.guest();
    const ends = await connection(lab, guest);
    await ends.out.write("x");
    expect(await ends.in.read(1)).toBe("x");
    await ends.out.reset();
    expect(await ends.in.closed()).toBe("ECONNRESET");
  });
});

// After a dropped segment Linux gives up only after two minutes, with ETIMEDOUT.
describe("a connection that cannot be made fails with the errno that the host gets", () => {
  test("if refused", async ({ lab }) => {
    await using guest = await lab.guest();
    const error = await (await guest.agent()).refusal({ address: served.services, port: 9 });
    expect(error.code).toBe("ECONNREFUSED");
  });

  truthful.for([
    ["networkUnreachable", "ENETUNREACH"],
    ["hostUnreachable", "EHOSTUNREACH"],
    ["prohibited", "EHOSTUNREACH"],
  ] as const)("%s, as answered by a router: %s", async ([destination, code], { lab, annotate }) => {
    await using guest = await lab.guest();
    const error = await (await guest.agent()).refusal({ address: failing[destination], port: 80 });
    await annotate(`after ${Math.round(error.elapsedMs)} ms`, "measured");
    expect(error.code).toBe(code);
  });

  test("if the host has no route", async ({ lab }) => {
    await using guest = await lab.guest();
    const error = await (await guest.agent()).refusal({ address: failing.noRoute, port: 80 });
    expect(error.code).toBe("ENETUNREACH");
  });

  test("not at all, if nothing answers", async ({ lab }) => {
    await using guest = await lab.guest();
    const agent = await guest.agent();
    const attempt = agent.ask("connect", { address: failing.blackHole, port: 80 }, 3_000);
    await expect(attempt).rejects.toThrow("no answer within 3000 ms");
  });
});

test("a server may speak first", async ({ lab }) => {
  await using guest = await lab.guest();
  const ends = await connection(lab, guest);
  await ends.out.write("220 ready");
  expect(await ends.in.read(9)).toBe("220 ready");
});

test("the world sees the host's address", async ({ lab }) => {
  await using guest = await lab.guest();
  const ends = await connection(lab, guest);
  expect(ends.out.client.address).toBe("198.51.100.2");
});

/** Both ends of a connection, in perl: Node lacks these socket calls. */
const PERL = "use strict; use warnings; use Socket qw(:all); $| = 1;";

/** A perl expression for the address of an endpoint, packed. */
function packed({ address, port }: Endpoint): string {
  return address.includes(":")
    ? `pack_sockaddr_in6(${port}, inet_pton(AF_INET6, "${address}"))`
    : `pack_sockaddr_in(${port}, inet_aton("${address}"))`;
}

describe.for([
  [4, served.services, served.http, failing.blackHole],
  [6, served.services6, served.http6, failing.blackHole6],
] as const)("corner cases over IPv%i", ([family, services, http, blackHole]) => {
  const ip = `ipv${family}`;
  const domain = family === 4 ? "AF_INET" : "AF_INET6";
  const bracketed = family === 4 ? http : `[${http}]`;

  function guestOf(lab: Lab, options: GuestOptions = {}): Promise<Guest> {
    return lab.guest({ ipv6: true, ...options });
  }

  test("urgent data of the guest is delivered in line", async ({ lab }) => {
    await using guest = await guestOf(lab);
    await using listener = await lab.world.agent.listen(services);
    const script = `${PERL}
      socket(my $s, ${domain}, SOCK_STREAM, 0) or die $!;
      connect($s, ${packed(listener.endpoint)}) or die $!;
      send($s, "abc", 0); send($s, "D", MSG_OOB); send($s, "ef", 0); shutdown($s, 1);
      sysread($s, my $end, 1);`;
    const client = guest.run(["perl", "-e", script]);
    const accepted = await listener.accept();
    expect(await accepted.readToEnd()).toBe("abcDef");
    await accepted.close();
    await client;
  });

  truthful(
    "urgent data of the world is delivered in line, and what follows it",
    async ({ lab }) => {
      await using guest = await guestOf(lab);
      const any = family === 4 ? "INADDR_ANY" : "IN6ADDR_ANY";
      const pack = family === 4 ? "pack_sockaddr_in" : "pack_sockaddr_in6";
      const script = `${PERL}
      socket(my $l, ${domain}, SOCK_STREAM, 0) or die $!;
      bind($l, ${pack}(0, ${any})) or die $!; listen($l, 1) or die $!;
      my ($port) = un${pack}(getsockname($l)); print "port $port\n";
      accept(my $s, $l) or die $!;
      for my $round (1 .. 20) { send($s, "abc", 0); send($s, "D", MSG_OOB); send($s, "efg" x 5000, 0); }
      shutdown($s, 1); sysread($s, my $end, 1);`;
      const server = lab.world.root.spawn(["perl", "-e", script]);
      await server.printed(/port \d+/);
      const port = Number(/port (\d+)/.exec(server.stdout)?.[1]);
      const inside = await (await guest.agent()).connect({ address: services, port });
      const text = await inside.readToEnd();
      // Do not print a difference of 300 kB.
      expect(text.length).toBe(20 * 15_004);
      expect(text === `abcD${"efg".repeat(5000)}`.repeat(20)).toBe(true);
      await inside.close();
      await server.ended(10_000);
    },
  );

  truthful("the service class of the guest is the host's, too", async ({ lab }) => {
    await using guest = await guestOf(lab);
    await using listener = await lab.world.agent.listen(services);
    const { port } = listener.endpoint;
    const [field, to, option] =
      family === 4
        ? ["ip.dsfield", `TCP4:${services}`, "tos=184"]
        : ["ipv6.tclass", `TCP6:[${services}]`, "ipv6-tclass=184"];
    const capture = await startTshark(lab.world.root, [
      ...["-i", "host", "-c", "1", "-f", `tcp dst port ${port}`, "-T", "fields", "-e", field],
    ]);
    const client = guest.namespace.shell(`socat -u ${to}:${port},${option} -`);
    const accepted = await listener.accept();
    await accepted.end();
    await client;
    const { stdout } = await capture.ended(10_000);
    expect(Number(stdout.trim())).toBe(184);
  });

  test("an idle connection with keep-alive stays", async ({ lab }) => {
    await using guest = await guestOf(lab);
    await using listener = await lab.world.agent.listen(services);
    const { port } = listener.endpoint;
    const to = family === 4 ? `TCP4:${services}` : `TCP6:[${services}]`;
    // Three seconds without an answer to its probes would end it.
    const options = "keepalive,keepidle=1,keepintvl=1,keepcnt=2";
    const script = `(echo early; sleep 5; echo late) | socat - ${to}:${port},${options}`;
    const client = guest.namespace.shell(script);
    const accepted = await listener.accept();
    expect(await accepted.readToEnd()).toBe("early\nlate\n");
    await accepted.end();
    await client;
  });

  describe("RST with data that nobody has read", () => {
    truthful.for([0, 4_000_000])("%i bytes from the guest", async (pending, { lab }) => {
      await using guest = await guestOf(lab);
      const ends = await connectionTo(lab, guest, services);
      if (pending > 0) await ends.in.fill(pending);
      await ends.in.reset();
      expect(await ends.out.closed()).toBe("ECONNRESET");
    });

    truthful.for([0, 4_000_000])("%i bytes from the world", async (pending, { lab }) => {
      await using guest = await guestOf(lab);
      const ends = await connectionTo(lab, guest, services);
      if (pending > 0) await ends.out.fill(pending);
      await ends.out.reset();
      expect(await ends.in.closed()).toBe("ECONNRESET");
    });
  });

  test("a port is usable again while the last connection is in TIME_WAIT", async ({ lab }) => {
    await using guest = await guestOf(lab);
    await using listener = await lab.world.agent.listen(services);
    const to = family === 4 ? `TCP4:${services}` : `TCP6:[${services}]`;
    // It sends nothing, so the world closes first: Slipway has TIME_WAIT, not the guest.
    const client = `socat -u ${to}:${listener.endpoint.port},sourceport=5555,reuseaddr -`;
    for (let count = 0; count < 4; count += 1) {
      const received = guest.namespace.shell(client);
      await using accepted = await listener.accept();
      await accepted.write(`${count}`);
      await accepted.end();
      expect(await received).toBe(`${count}`);
    }
  });

  test("one port of the guest talks to two destinations at once", async ({ lab }) => {
    await using guest = await guestOf(lab);
    const echoes = [await lab.world.agent.echo(services), await lab.world.agent.echo(http)];
    const local =
      family === 4 ? "pack_sockaddr_in(6666, INADDR_ANY)" : "pack_sockaddr_in6(6666, IN6ADDR_ANY)";
    const script = `${PERL}
      my @s;
      for my $to (${echoes.map(packed).join(", ")}) {
        socket(my $s, ${domain}, SOCK_STREAM, 0) or die $!;
        setsockopt($s, SOL_SOCKET, $_, 1) or die $! for SO_REUSEADDR, SO_REUSEPORT;
        bind($s, ${local}) or die $!; connect($s, $to) or die $!; push @s, $s;
      }
      for my $i (0, 1) { syswrite($s[$i], "to $i;"); }
      for my $i (0, 1) { sysread($s[$i], my $got, 100); print $got; }`;
    expect(await guest.namespace.output(["perl", "-e", script])).toBe("to 0;to 1;");
  });

  test("an unanswered connect times out as on the host", async ({ lab }) => {
    await using guest = await guestOf(lab);
    const once = "echo 1 > /proc/sys/net/ipv4/tcp_syn_retries";
    await guest.namespace.shell(once);
    await lab.host.root.shell(once);
    const agents = [lab.host.agent, await guest.agent()];
    const refusals = agents.map((agent) => agent.refusal({ address: blackHole, port: 80 }));
    const codes = (await Promise.all(refusals)).map(({ code }) => code);
    expect(codes).toEqual(["ETIMEDOUT", "ETIMEDOUT"]);
  });

  test.for([
    ["window scaling off", "echo 0 > /proc/sys/net/ipv4/tcp_window_scaling"],
    ["selective acknowledgments off", "echo 0 > /proc/sys/net/ipv4/tcp_sack"],
    ["time stamps off", "echo 0 > /proc/sys/net/ipv4/tcp_timestamps"],
    ["ECN on", "echo 1 > /proc/sys/net/ipv4/tcp_ecn"],
  ])("%s: 2 MB arrive each way", async ([, setting], { lab }) => {
    const sha256 = await lab.world.http.addFile("corner", 2_000_000);
    await using guest = await guestOf(lab);
    await guest.namespace.shell(setting);
    const curl = `curl -gsS --fail --resolve ${httpName}:80:${bracketed} http://${httpName}`;
    const file = `${lab.directory}/corner-${ip}`;
    const down = await guest.namespace.shell(`${curl}/corner | tee ${file} | sha256sum`);
    expect(down.slice(0, 64)).toBe(sha256);
    await guest.namespace.shell(`${curl}/cornered --upload-file ${file}`);
    expect(await lab.world.http.sha256("cornered")).toBe(sha256);
  });

  test.for([88, 32_000])("an MSS of %i: 300 kB arrive", async (mss, { lab }) => {
    await using guest = await guestOf(lab, mss > 1_500 ? { mtu: 65_520 } : {});
    await using listener = await lab.world.agent.listen(services);
    const to = family === 4 ? `TCP4:${services}` : `TCP6:[${services}]`;
    const script = `socat -u ${to}:${listener.endpoint.port},mss=${mss} - | sha256sum`;
    const digest = guest.namespace.shell(script);
    const accepted = await listener.accept();
    const { sha256 } = await accepted.send(300_000);
    await accepted.end();
    expect((await digest).slice(0, 64)).toBe(sha256);
  });
});
