import { link } from "../lab/addresses.ts";
import { isSlipway } from "../lab/product.ts";
import { withAttached } from "./attached.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base.runIf(isSlipway);

describe("--publish-auto", () => {
  test("publishes TCP ports while the guest listens, in the families it listens on", async ({
    lab,
  }) => {
    await withAttached(lab, ["-P"], async ({ process, agent }) => {
      const both = await agent.listen("::", 8110);
      await process.printed(/^published \[::\]:8110 → 8110\/tcp\n/m);
      await process.printed(/^published 0\.0\.0\.0:8110 → 8110\/tcp\n/m);
      for (const [address, seen] of [
        [link.host, link.world],
        [link.host6, link.world6],
      ] as const) {
        const outside = await lab.world.agent.connect({ address, port: 8110 });
        const inside = await both.accept();
        expect(inside.client.address.replace("::ffff:", "")).toBe(seen);
        await inside.write("hello");
        expect(await outside.read(5)).toBe("hello");
      }
      await using _only4 = await agent.listen("0.0.0.0", 8111);
      await process.printed(/^published 0\.0\.0\.0:8111 /m);
      await both.close();
      await process.printed(/^no longer published 0\.0\.0\.0:8110 → 8110\/tcp\n/m);
      expect(process.stdout).not.toContain("[::]:8111");
      for (const address of [link.host, link.host6]) {
        const { code } = await lab.world.agent.refusal({ address, port: 8110 });
        expect(code).toBe("ECONNREFUSED");
      }
      await lab.world.agent.connect({ address: link.host, port: 8111 });
    });
  });

  test("publishes UDP servers, but not clients", async ({ lab }) => {
    await withAttached(lab, ["--publish-auto"], async ({ process, agent }) => {
      const client = await agent.udp("0.0.0.0", 45_678);
      const server = await agent.udp("0.0.0.0", 8112);
      const server6 = await agent.udp("fd00::64", 8113);
      await process.printed(/^published 0\.0\.0\.0:8112 → 8112\/udp\n/m);
      await process.printed(/^published \[::\]:8113 → 8113\/udp\n/m);
      for (const [inside, own, address, port] of [
        [server, link.world, link.host, 8112],
        [server6, link.world6, link.host6, 8113],
      ] as const) {
        const outside = await lab.world.agent.udp(own);
        await outside.send({ address, port }, "question");
        const { text, from } = await inside.receive();
        expect(text).toBe("question");
        expect(from).toEqual({ address: own, port: outside.endpoint.port });
        await inside.send(from, "answer");
        expect(await outside.receive()).toEqual({ text: "answer", from: { address, port } });
      }
      expect(process.stdout).not.toContain(`${client.endpoint.port}`);
    });
  });

  test("leaves out ports that are excluded, published by name, or on the guest's loopback", async ({
    lab,
  }) => {
    const args = ["-P", "--publish-exclude", "8114-8115/tcp,9", "-p", "8217:8117"];
    await withAttached(lab, args, async ({ process, agent }) => {
      await agent.listen("0.0.0.0", 8114);
      await agent.listen("127.0.0.1", 8116);
      await agent.listen("0.0.0.0", 8117);
      await agent.listen("10.0.2.100", 8118);
      await process.printed(/^published 0\.0\.0\.0:8118 /m);
      expect(process.stdout.match(/^published .*$/gm)).toEqual([
        "published 0.0.0.0:8118 → 8118/tcp",
      ]);
    });
  });

  test("publishes a port that is in use or not permitted at another, and tells which", async ({
    lab,
  }) => {
    await using _taken = await lab.host.agent.listen("0.0.0.0", 8119);
    await withAttached(lab, ["-P"], async ({ process, agent }) => {
      const shared = await agent.listen("0.0.0.0", 8119);
      const web = await agent.listen("::", 80);
      await process.printed(/^published \[::\]:8080 → 80\/tcp\n/m);
      await process.printed(/^published 0\.0\.0\.0:8080 → 80\/tcp\n/m);
      await process.printed(/^published 0\.0\.0\.0:\d+ → 8119\/tcp\n/m);
      const [, chosen] = /:(\d+) → 8119/.exec(process.stdout) ?? [];
      for (const [port, server] of [
        [8080, web],
        [Number(chosen), shared],
      ] as const) {
        const outside = await lab.world.agent.connect({ address: link.host, port });
        await (await server.accept()).write("hello");
        expect(await outside.read(5)).toBe("hello");
      }
      await web.close();
      await process.printed(/^no longer published 0\.0\.0\.0:8080 → 80\/tcp\n/m);
      expect(process.stderr).not.toContain("cannot publish");
    });
  });

  test("works with run, for the processes that COMMAND starts", async ({ lab }) => {
    const script = "busybox nc -l -p 8120 > /dev/null & echo up; wait";
    const process = lab.host.slipway(["run", "-P", "--no-ipv6", "--", "sh", "-c", script]);
    await process.printed(/up/);
    await expect
      .poll(() => process.stderr)
      .toMatch(/^slipway: published 0\.0\.0\.0:8120 → 8120\/tcp$/m);
    const outside = await lab.world.agent.connect({ address: link.host, port: 8120 });
    await outside.end();
    expect((await process.ended(10_000)).code).toBe(0);
  });
});
