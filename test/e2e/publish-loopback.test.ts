import { link } from "../lab/addresses.ts";
import { isSlipway } from "../lab/product.ts";
import { ask, userDirectory } from "./api-client.ts";
import { endOf, withAttached } from "./attached.ts";
import { expectExchange } from "./exchange.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base.runIf(isSlipway);

const servers = [
  { at: "127.0.0.1", asked: link.host, seen: "127.0.0.1" },
  { at: "::1", asked: link.host6, seen: "::1" },
] as const;

describe("--publish-to-loopback, TCP", () => {
  test.for(servers)("a server only at $at is reached", async ({ at, asked, seen }, { lab }) => {
    await withAttached(lab, ["--publish-to-loopback", "-p", "8130:8130"], async ({ agent }) => {
      const server = await agent.listen(at, 8130);
      const outside = await lab.world.agent.connect({ address: asked, port: 8130 });
      const inside = await server.accept();
      expect(inside.client.address).toBe(seen);
      await expectExchange(outside, inside);
    });
  });

  test("without the option it is not", async ({ lab }) => {
    await withAttached(lab, ["-p", "8130:8130"], async ({ agent }) => {
      await agent.listen("127.0.0.1", 8130);
      const to = { address: link.host, port: 8130 };
      expect(await endOf(lab.world.agent, to)).toBe("ECONNRESET");
    });
  });

  test("an IPv6 client is led to 127.0.0.1 if nobody listens at ::1", async ({ lab }) => {
    await withAttached(lab, ["--publish-to-loopback", "-p", "8131:8131"], async ({ agent }) => {
      const server = await agent.listen("127.0.0.1", 8131);
      const outside = await lab.world.agent.connect({ address: link.host6, port: 8131 });
      const inside = await server.accept();
      await inside.write("hello");
      expect(await outside.read(5)).toBe("hello");
    });
  });

  test("RST passes both ways, and a refusal as RST", async ({ lab }) => {
    await withAttached(lab, ["--publish-to-loopback", "-p", "8132-8133:8132-8133"], async (it) => {
      const server = await it.agent.listen("127.0.0.1", 8132);
      for (const who of ["outside", "inside"] as const) {
        const outside = await lab.world.agent.connect({ address: link.host, port: 8132 });
        const inside = await server.accept();
        await outside.write("x");
        expect(await inside.read(1)).toBe("x");
        const [first, second] = who === "outside" ? [outside, inside] : [inside, outside];
        await first.reset();
        expect(await second.closed()).toBe("ECONNRESET");
      }
      const nobody = { address: link.host, port: 8133 };
      expect(await endOf(lab.world.agent, nobody)).toBe("ECONNRESET");
    });
  });

  test("files both ways at once, with pauses, arrive unchanged", async ({ lab }) => {
    await withAttached(lab, ["--publish-to-loopback", "-p", "8134:8134"], async ({ agent }) => {
      const server = await agent.listen("127.0.0.1", 8134);
      const outside = await lab.world.agent.connect({ address: link.host, port: 8134 });
      const inside = await server.accept();
      const bytes = 30_000_000;
      const received = [outside.receive(bytes, 20), inside.receive(bytes, 20)];
      const sent = [inside.send(bytes, 20), outside.send(bytes, 20)].map(async (each, index) => {
        const digest = await each;
        await [inside, outside][index]?.end();
        return digest;
      });
      expect(await Promise.all(received)).toEqual(await Promise.all(sent));
    });
  });

  test("a peer that does not read stops the other, and nobody else", async ({ lab }) => {
    await withAttached(lab, ["--publish-to-loopback", "-p", "8135:8135"], async (it) => {
      const server = await it.agent.listen("127.0.0.1", 8135);
      const stalled = await lab.world.agent.connect({ address: link.host, port: 8135 });
      const silent = await server.accept();
      const taken = await stalled.fill(1_000_000_000);
      expect(taken).toBeLessThan(100_000_000);
      const outside = await lab.world.agent.connect({ address: link.host, port: 8135 });
      const inside = await server.accept();
      const up = inside.receive();
      const sent = await outside.send(5_000_000);
      await outside.end();
      expect(await up).toEqual(sent);
      const rest = silent.receive();
      await stalled.end();
      // What fill() had in flight when it gave up arrives, too.
      expect((await rest).bytes - taken).toBeOneOf([0, 65_536]);
    });
  });

  test("200 clients are served at once, and all descriptors are released", async ({ lab }) => {
    await withAttached(lab, ["--publish-to-loopback", "-p", "8136:8136"], async (it) => {
      const { process, agent, namespace } = it;
      await namespace.shell("ip link set lo up");
      const { port } = await agent.echo("127.0.0.1", 8136);
      const before = process.openDescriptors();
      const answers = Array.from({ length: 200 }, async (_, index) => {
        await using connection = await lab.world.agent.connect({ address: link.host, port });
        await connection.write(`${index}`);
        return await connection.read(`${index}`.length);
      });
      expect(await Promise.all(answers)).toEqual(
        Array.from({ length: 200 }, (_, index) => `${index}`),
      );
      // A few pipes are kept for reuse.
      await expect.poll(() => process.openDescriptors()).toBeLessThan(before + 20);
    });
  });
});

describe("--publish-to-loopback, UDP", () => {
  test.for(servers)("a server only at $at is reached", async ({ at, asked, seen }, { lab }) => {
    const args = ["--publish-to-loopback", "-p", "8137:8137/udp"];
    await withAttached(lab, args, async ({ agent }) => {
      const server = await agent.udp(at, 8137);
      const own = asked === link.host ? link.world : link.world6;
      const clients = [await lab.world.agent.udp(own), await lab.world.agent.udp(own)];
      for (const word of ["first", "second"]) {
        for (const client of clients) {
          await client.send({ address: asked, port: 8137 }, word);
          const { text, from } = await server.receive();
          expect(text).toBe(word);
          expect(from.address).toBe(seen);
          await server.send(from, `${word} answer`);
          expect(await client.receive()).toEqual({
            text: `${word} answer`,
            from: { address: asked, port: 8137 },
          });
        }
      }
      const large = "x".repeat(60_000);
      await clients[0].send({ address: asked, port: 8137 }, large);
      expect((await server.receive()).text).toBe(large);
    });
  });

  test("if nobody listened at first, a later server is reached all the same", async ({ lab }) => {
    const args = ["--publish-to-loopback", "-p", "8138:8138/udp"];
    await withAttached(lab, args, async ({ agent }) => {
      const client = await lab.world.agent.udp(link.world);
      const to = { address: link.host, port: 8138 };
      await client.send(to, "lost");
      await client.send(to, "lost, too");
      const server = await agent.udp("127.0.0.1", 8138);
      await expect
        .poll(
          async () => {
            await client.send(to, "found");
            return (await server.receive(500).catch(() => null))?.text;
          },
          { timeout: 10_000 },
        )
        .toBe("found");
    });
  });
});

test("--publish-auto also publishes listeners on the loopback only", async ({ lab }) => {
  await withAttached(lab, ["-P", "--publish-to-loopback"], async ({ process, agent }) => {
    const hidden = await agent.listen("127.0.0.1", 8139);
    const open = await agent.listen("0.0.0.0", 8140);
    await process.printed(/^published 0\.0\.0\.0:8139 /m);
    await process.printed(/^published 0\.0\.0\.0:8140 /m);
    for (const [server, port, seen] of [
      [hidden, 8139, "127.0.0.1"],
      [open, 8140, link.world],
    ] as const) {
      await lab.world.agent.connect({ address: link.host, port });
      expect((await server.accept()).client.address).toBe(seen);
    }
  });
});

test("list_flows lists clients, TCP and UDP", async ({ lab }) => {
  const socket = `${await userDirectory(lab)}/loopback.sock`;
  const ports = ["-p", "8145:8145", "-p", "8145:8145/udp", "--api-socket", socket];
  await withAttached(lab, ["--publish-to-loopback", ...ports], async ({ agent }) => {
    const server = await agent.listen("127.0.0.1", 8145);
    const outside = await lab.world.agent.connect({ address: link.host, port: 8145 });
    const inside = await server.accept();
    await outside.write("hello");
    await inside.read(5);
    await inside.write("abc");
    await outside.read(3);
    const udp = await agent.udp("127.0.0.1", 8145);
    const client = await lab.world.agent.udp(link.world);
    await client.send({ address: link.host, port: 8145 }, "datagram");
    await udp.receive();
    const ends = (port: number, seen: unknown) => ({
      guest: { addr: "127.0.0.1", port: 8145, peer_addr: "127.0.0.1", peer_port: seen },
      host: { addr: link.host, port: 8145, peer_addr: link.world, peer_port: port },
    });
    expect(await ask(lab, socket, { execute: "list_flows" })).toMatchObject({
      return: {
        flows: [
          {
            proto: "tcp",
            direction: "inbound",
            state: "established",
            ...ends(outside.client.port, inside.client.port),
            from_guest: { bytes: 3 },
            to_guest: { bytes: 5 },
            rtt_us: expect.any(Number),
          },
          {
            proto: "udp",
            direction: "inbound",
            state: "unanswered",
            ...ends(client.endpoint.port, expect.any(Number)),
            from_guest: { bytes: 0, packets: 0 },
            to_guest: { bytes: 8, packets: 1 },
          },
        ],
      },
    });
    await inside.end();
    await outside.end();
    await expect
      .poll(async () => JSON.stringify(await ask(lab, socket, { execute: "list_flows" })))
      .not.toContain('"tcp"');
  });
});

test("data that COMMAND sent last arrives", async ({ lab }) => {
  const send = "TCP-LISTEN:8146,bind=127.0.0.1";
  const command = ["socat", "-u", "OPEN:/dev/zero,readbytes=5000000", send];
  const options = ["--no-ipv6", "-P", "--publish-to-loopback"];
  const process = lab.host.slipway(["run", ...options, "--", ...command]);
  await expect.poll(() => process.stderr).toMatch(/published .*:8146 /);
  const outside = await lab.world.agent.connect({ address: link.host, port: 8146 });
  const received = outside.receive(5_000_000, 20);
  await process.ended(10_000);
  expect((await received).bytes).toBe(5_000_000);
});

test("without our process in the namespace clients are refused, with one warning", async ({
  lab,
}) => {
  await withAttached(lab, ["--publish-to-loopback", "-p", "8147:8147"], async (it) => {
    const { process, agent, namespace } = it;
    const server = await agent.listen("127.0.0.1", 8147);
    const to = { address: link.host, port: 8147 };
    const outside = await lab.world.agent.connect(to);
    const inside = await server.accept();
    // It has the helper's parent, so it is found by its name and namespace.
    await lab.host.root.shell(`
      for each in $(pgrep slipway-keeper); do
        [ "$(readlink /proc/$each/ns/net)" = "$(readlink /proc/${namespace.pid}/ns/net)" ] || continue
        kill -KILL $each
      done
    `);
    for (const _ of [1, 2]) expect(await endOf(lab.world.agent, to)).toBe("ECONNRESET");
    await outside.write("x");
    expect(await inside.read(1)).toBe("x");
    await namespace.output(["ping", "-c1", "-w20", "10.0.2.2"]);
    expect(process.stderr.match(/our process in the namespace is gone/g)).toHaveLength(1);
  });
});
