import { link } from "../../../lab/addresses.ts";
import { describe, expect, test } from "../../fixture.ts";
import { Forwarded, failure, listening } from "./forwarded.ts";

describe("listeners", () => {
  test("a port without an address is one dual-stack socket, and clients of both families have their own address", async ({
    lab,
  }) => {
    await using guest = await Forwarded.start(lab, ["-t", "8080:80", "-u", "8080:80"]);
    const own = (await listening(lab.host.user)).filter((each) => each.endsWith(":8080"));
    expect(own).toEqual(["tcp *:8080", "udp *:8080"]);
    for (const [at, address, client] of [
      ["0.0.0.0", link.host, link.world],
      ["::", link.host6, link.world6],
    ] as const) {
      await using server = await guest.agent.listen(at, 80);
      await using outside = await lab.world.agent.connect({ address, port: 8080 });
      const inside = await server.accept();
      expect(inside.client).toEqual({ address: client, port: outside.client.port });
      await using udp = await guest.agent.udp(at, 80);
      await using asker = await lab.world.agent.udp(client);
      await asker.send({ address, port: 8080 }, "who am I?");
      const { from } = await udp.receive();
      expect(from.address).toBe(client);
      await udp.send(from, "you");
      expect(await asker.receive()).toEqual({ text: "you", from: { address, port: 8080 } });
    }
  });

  test("a port that is taken in one family is had in the other", async ({ lab }) => {
    await using _taken = await lab.host.agent.listen("0.0.0.0", 8081);
    await using guest = await Forwarded.start(lab, ["-t", "8081"]);
    await using server = await guest.agent.listen("::", 8081);
    await using _client = await lab.world.agent.connect({ address: link.host6, port: 8081 });
    expect((await server.accept()).client.address).toBe(link.world6);
  });

  test("bound to an interface, it serves no other", async ({ lab }) => {
    await using guest = await Forwarded.start(lab, ["-t", "%lo/8082,8083", "-u", "%eth0/8083"]);
    await guest.agent.echo("::", 8082);
    await using _client = await lab.host.agent.connect({ address: "127.0.0.1", port: 8082 });
    const refused = await lab.world.agent.refusal({ address: link.host, port: 8082 });
    expect(refused.code).toBe("ECONNREFUSED");
    expect(await listening(lab.host.user)).toContain("udp *%eth0:8083");
  });

  test("--freebind: at an address that the host has not yet", async ({ lab }) => {
    const args = ["-t", "198.51.100.77/8084"];
    const { code, stderr } = await failure(lab, args);
    expect([code, stderr]).toEqual([
      1,
      "pasta: Failed to bind port 8084 (Cannot assign requested address) for option '-t 198.51.100.77/8084'\n",
    ]);
    await using guest = await Forwarded.start(lab, ["--freebind", ...args]);
    await guest.agent.echo("0.0.0.0", 8084);
    await lab.host.root.output(["ip", "address", "add", "198.51.100.77/24", "dev", "eth0"]);
    try {
      await using client = await lab.world.agent.connect({ address: "198.51.100.77", port: 8084 });
      await client.write("x");
      expect(await client.read(1)).toBe("x");
    } finally {
      await lab.host.root.output(["ip", "address", "del", "198.51.100.77/24", "dev", "eth0"]);
    }
  });
});

describe("ports that cannot be had", () => {
  test("in use: the option is named, and nothing is left", async ({ lab }) => {
    await using _taken = await lab.host.agent.listen(link.host, 8099);
    const args = ["-t", "8098", "-t", `${link.host}/8099-8099:80-80`];
    const { code, stderr } = await failure(lab, args);
    const option = `-t ${link.host}/8099-8099:80-80`;
    const reason = "(Address already in use)";
    expect([code, stderr]).toEqual([
      1,
      `pasta: Failed to bind port 8099 ${reason} for option '${option}'\n`,
    ]);
    expect(await listening(lab.host.user)).not.toContain("tcp *:8098");
  });

  test("below 1024: a port alone is an error, those of a range are left out by one line", async ({
    lab,
  }) => {
    const alone = await failure(lab, ["-t", "1023"]);
    expect(alone.stderr).toBe(
      "pasta: Failed to bind port 1023 (Permission denied) for option '-t 1023'\n",
    );
    const none = await failure(lab, ["-t", "1020-1023"]);
    expect(none.stderr).toContain("Failed to bind any port (Permission denied)");
    await using _guest = await Forwarded.start(lab, ["-t", "1020-1025"]);
    const own = (await listening(lab.host.user)).filter((each) => /^tcp \*:10/.test(each));
    expect(own).toEqual(["tcp *:1024", "tcp *:1025"]);
  });

  test("an interface that does not exist", async ({ lab }) => {
    const { stderr } = await failure(lab, ["-t", "%nope/8080"]);
    expect(stderr).toBe(
      "pasta: Failed to bind port 8080 (No such device) for option '-t %nope/8080'\n",
    );
  });

  test("-t all without enough descriptors says so", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const pasta = lab.host.program("pasta");
    const { code, stderr } = await lab.host.user.run([
      ...["prlimit", "--nofile=512:512", pasta, "--config-net", "--quiet"],
      ...["-t", "all", "-u", "none", "-T", "none", "-U", "none", `${namespace.pid}`],
    ]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(
        /^pasta: Failed to bind port \d+ \(Too many open files\) for option '-t all': raise the limit \(ulimit -n\)\n$/,
      ),
    ]);
  });

  test("exclusions alone leave out what only root may have or is taken, and ephemeral ports", async ({
    lab,
  }) => {
    await using _taken = await lab.host.agent.listen("::", 20_005);
    // All would be more than the descriptors of many machines.
    const few = "~23-19999,~20100-39999,~40010-65535";
    await using guest = await Forwarded.start(lab, ["-t", few]);
    await guest.agent.echo("::", 20_000);
    await using client = await lab.world.agent.connect({ address: link.host, port: 20_000 });
    await client.write("x");
    expect(await client.read(1)).toBe("x");
    const own = (await listening(lab.host.user)).filter((each) => /^tcp \*:[24]\d{4}$/.test(each));
    expect(own).toHaveLength(100);
    expect(own.some((each) => each.startsWith("tcp *:4"))).toBe(false);
  });
});
