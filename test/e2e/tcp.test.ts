import { failing, served } from "../lab/addresses.ts";
import type { Connection } from "../lab/agent/client.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { isSlipway } from "../lab/product.ts";
import { describe, expect, test } from "./fixture.ts";

// Where slirp4netns is known to do worse (peers.md): run against it, these tests say nothing.
const truthful = test.runIf(isSlipway);

// What is dropped instead of answered takes two minutes until Linux gives up.
const atOnceMs = 5_000;

/** Both ends of one connection from a guest into the world. */
async function connection(lab: Lab, guest: Guest): Promise<{ in: Connection; out: Connection }> {
  const listener = await lab.world.agent.listen(served.services);
  const inside = await (await guest.agent()).connect(listener.endpoint);
  const outside = await listener.accept();
  await listener.close();
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

describe("a connection that cannot be made fails with the errno that the host gets", () => {
  test("refused", async ({ lab }) => {
    await using guest = await lab.guest();
    const error = await (await guest.agent()).refusal({ address: served.services, port: 9 });
    expect(error.code).toBe("ECONNREFUSED");
    expect(error.elapsedMs).toBeLessThan(atOnceMs);
  });

  truthful.for([
    ["networkUnreachable", "ENETUNREACH"],
    ["hostUnreachable", "EHOSTUNREACH"],
    ["prohibited", "EHOSTUNREACH"],
  ] as const)("%s, as a router answers: %s", async ([destination, code], { lab, annotate }) => {
    await using guest = await lab.guest();
    const error = await (await guest.agent()).refusal({ address: failing[destination], port: 80 });
    await annotate(`after ${Math.round(error.elapsedMs)} ms`, "measured");
    expect(error.code).toBe(code);
    expect(error.elapsedMs).toBeLessThan(atOnceMs);
  });

  test("no route from the host", async ({ lab }) => {
    await using guest = await lab.guest();
    const error = await (await guest.agent()).refusal({ address: failing.noRoute, port: 80 });
    expect(error.code).toBe("ENETUNREACH");
    expect(error.elapsedMs).toBeLessThan(atOnceMs);
  });

  test("not at all, where nothing answers", async ({ lab }) => {
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
