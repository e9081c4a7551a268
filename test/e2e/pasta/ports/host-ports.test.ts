import { endOf } from "../../attached.ts";
import { expectExchange } from "../../exchange.ts";
import { describe, expect, test } from "../../fixture.ts";
import { FOLLOWED, Forwarded, listening } from "./forwarded.ts";

describe("-T and -U", () => {
  test.for(["127.0.0.1", "::1"])(
    "a port of the host's %s is on the guest's",
    async (at, { lab }) => {
      await using guest = await Forwarded.start(lab, ["-T", "88:8301", "-U", "88:8301"]);
      await using server = await lab.host.agent.listen(at, 8301);
      await using udp = await lab.host.agent.udp(at, 8301);
      await using inside = await guest.agent.connect({ address: at, port: 88 });
      await using outside = await server.accept();
      expect(outside.client.address).toBe(at);
      await expectExchange(inside, outside);
      await using asker = await guest.agent.udp(at);
      for (const text of ["first", "second"]) {
        await asker.send({ address: at, port: 88 }, text);
        const { from } = await udp.receive();
        await udp.send(from, `${text} answer`);
        const answer = await asker.receive();
        expect(answer).toEqual({ text: `${text} answer`, from: { address: at, port: 88 } });
      }
    },
  );

  test("it is on the guest's loopback alone, below 1024, too", async ({ lab }) => {
    await using guest = await Forwarded.start(lab, ["-T", "88:8301", "-U", "88:8301"]);
    const places = ["127.0.0.1:88", "[::1]:88"];
    const expected = places.flatMap((each) => [`tcp ${each}`, `udp ${each}`]).toSorted();
    expect(await listening(guest.namespace)).toEqual(expected);
  });

  test("where nobody listens on the host, the client is reset", async ({ lab }) => {
    await using guest = await Forwarded.start(lab, ["-T", "8302"]);
    const to = { address: "127.0.0.1", port: 8302 };
    expect(await endOf(guest.agent, to)).toBe("ECONNRESET");
  });

  test("a port that the guest has in use is an error", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const pasta = lab.host.program("pasta");
    await namespace.shell("ip link set lo up");
    const server = namespace.spawn(["socat", "TCP6-LISTEN:8303,ipv6only=0", "STDIO"]);
    await expect.poll(() => listening(namespace)).toContain("tcp *:8303");
    const argv = [pasta, "--config-net", "-q", "-t", "none", "-u", "none", "-U", "none"];
    const { code, stderr } = await lab.host.user.run([...argv, "-T", "8303", `${namespace.pid}`]);
    expect([code, stderr]).toEqual([
      1,
      "pasta: Failed to bind port 8303 (Address already in use) for option '-T 8303'\n",
    ]);
    server.kill("SIGKILL");
  });
});

test("-T auto and -U auto follow what listens on the host's loopback, and nothing else of the host", async ({
  lab,
}) => {
  await using guest = await Forwarded.start(lab, ["-T", "auto", "-U", "auto"]);
  const tcp = await lab.host.agent.listen("127.0.0.1", 8311);
  const udp = await lab.host.agent.udp("::1", 8312);
  await using _elsewhere = await lab.host.agent.listen("198.51.100.2", 8313);
  const inside = () => listening(guest.namespace);
  await expect.poll(inside, FOLLOWED).toContain("tcp 127.0.0.1:8311");
  await expect.poll(inside, FOLLOWED).toContain("udp [::1]:8312");
  expect((await inside()).some((each) => each.endsWith(":8313"))).toBe(false);
  await tcp.close();
  await udp.close();
  await expect.poll(inside, FOLLOWED).toEqual([]);
});
