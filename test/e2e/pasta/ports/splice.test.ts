import { link } from "../../../lab/addresses.ts";
import { endOf } from "../../attached.ts";
import { expectExchange } from "../../exchange.ts";
import { describe, expect, test } from "../../fixture.ts";
import { Forwarded } from "./forwarded.ts";

const LOOPBACKS = [
  { at: "127.0.0.1", own: link.host, any: "0.0.0.0" },
  { at: "::1", own: link.host6, any: "::" },
] as const;

/** Packets that the guest's interface has had, both ways. */
async function packets({ namespace }: Forwarded): Promise<number> {
  const text = await namespace.output(["ip", "-j", "-s", "link", "show", "dev", "eth0"]);
  const [{ stats64 }] = JSON.parse(text) as readonly {
    readonly stats64: Readonly<Record<"rx" | "tx", { readonly packets: number }>>;
  }[];
  return stats64.rx.packets + stats64.tx.packets;
}

describe("clients at the host's loopback", () => {
  test.for(LOOPBACKS)(
    "of $at the guest sees its own address, and nothing passes the TAP",
    async ({ at, own, any }, { lab }) => {
      await using guest = await Forwarded.start(lab, ["-t", "8201:8201", "-u", "8201:8201"]);
      await using server = await guest.agent.listen(any, 8201);
      await using udp = await guest.agent.udp(any, 8201);
      const before = await packets(guest);
      await using outside = await lab.host.agent.connect({ address: at, port: 8201 });
      await using inside = await server.accept();
      expect(inside.client.address).toBe(own);
      await expectExchange(outside, inside);
      await using asker = await lab.host.agent.udp(at);
      for (const text of ["first", "second"]) {
        await asker.send({ address: at, port: 8201 }, text);
        const { text: heard, from } = await udp.receive();
        expect([heard, from]).toEqual([text, { address: own, port: asker.endpoint.port }]);
        await udp.send(from, `${text} answer`);
        const answer = await asker.receive();
        expect(answer).toEqual({ text: `${text} answer`, from: { address: at, port: 8201 } });
      }
      // Neighbours may have been asked meanwhile; the exchange alone would be many packets more.
      expect((await packets(guest)) - before).toBeLessThan(10);
    },
  );

  test.for(LOOPBACKS)(
    "--host-lo-to-ns-lo: of $at the guest sees its loopback",
    async ({ at }, { lab }) => {
      const args = ["--host-lo-to-ns-lo", "-t", "8202", "-u", "8202"];
      await using guest = await Forwarded.start(lab, args);
      await using server = await guest.agent.listen(at, 8202);
      await using _outside = await lab.host.agent.connect({ address: at, port: 8202 });
      await using inside = await server.accept();
      expect(inside.client.address).toBe(at);
      await using udp = await guest.agent.udp(at, 8202);
      await using asker = await lab.host.agent.udp(at);
      await asker.send({ address: at, port: 8202 }, "x");
      expect((await udp.receive()).from.address).toBe(at);
    },
  );

  test("a server at the guest's loopback alone is not reached without it: RST, as with pasta", async ({
    lab,
  }) => {
    await using guest = await Forwarded.start(lab, ["-t", "8203"]);
    await using _server = await guest.agent.listen("127.0.0.1", 8203);
    const to = { address: "127.0.0.1", port: 8203 };
    expect(await endOf(lab.host.agent, to)).toBe("ECONNRESET");
  });

  test("an IPv6 client reaches a server of IPv4", async ({ lab }) => {
    await using guest = await Forwarded.start(lab, ["-t", "8204"]);
    await using server = await guest.agent.listen("0.0.0.0", 8204);
    await using outside = await lab.host.agent.connect({ address: "::1", port: 8204 });
    await using inside = await server.accept();
    expect(inside.client.address).toBe(link.host);
    await expectExchange(outside, inside);
  });

  test("files both ways at once, with pauses, arrive unchanged", async ({ lab }) => {
    await using guest = await Forwarded.start(lab, ["-t", "8205"]);
    await using server = await guest.agent.listen("::", 8205);
    await using outside = await lab.host.agent.connect({ address: "127.0.0.1", port: 8205 });
    await using inside = await server.accept();
    const bytes = 30_000_000;
    const received = [outside.receive(bytes, 50), inside.receive(bytes, 50)];
    const sent = [inside.send(bytes, 50), outside.send(bytes, 50)].map(async (each, index) => {
      const digest = await each;
      await [inside, outside][index]?.end();
      return digest;
    });
    expect(await Promise.all(received)).toEqual(await Promise.all(sent));
  });

  test("a peer that does not read gets all of it later, in order", async ({ lab }) => {
    await using guest = await Forwarded.start(lab, ["-t", "8206"]);
    await using server = await guest.agent.listen("::", 8206);
    await using outside = await lab.host.agent.connect({ address: "127.0.0.1", port: 8206 });
    await using inside = await server.accept();
    // Small pieces: what is copied fills the socket, and its rest waits.
    const taken = await outside.fill(100_000_000, 1_000, 1_000);
    const rest = inside.receive();
    await outside.end();
    expect((await rest).bytes - taken).toBeOneOf([0, 1_000]);
  });

  test("descriptors return to where they were, silent clients included", async ({ lab }) => {
    await using guest = await Forwarded.start(lab, ["-t", "8207", "-u", "8207"]);
    await guest.agent.echo("::", 8207);
    const before = guest.openDescriptors;
    const clients = await Promise.all(
      Array.from({ length: 200 }, () =>
        lab.host.agent.connect({ address: "127.0.0.1", port: 8207 }),
      ),
    );
    await Promise.all(clients.slice(100).map((each) => each.write("x")));
    for (const each of clients.slice(100)) expect(await each.read(1)).toBe("x");
    for (const each of clients) await each.close();
    // A few pipes are kept for the next clients.
    await expect.poll(() => guest.openDescriptors).toBeLessThan(before + 20);
  });
});
