import { httpName, served } from "../lab/addresses.ts";
import { describe, expect, test } from "./fixture.ts";

describe("UDP", () => {
  test("an answer comes from the address that was asked", async ({ lab }) => {
    await using guest = await lab.guest();
    const echo = await lab.world.agent.echoUdp(served.services);
    const socket = await (await guest.agent()).udp("0.0.0.0");
    await socket.send(echo, "ping");
    expect(await socket.receive()).toEqual({ text: "ping", from: echo });
  });

  test("one socket of the guest speaks to many", async ({ lab }) => {
    await using guest = await lab.guest();
    const echoes = await Promise.all(
      Array.from({ length: 8 }, () => lab.world.agent.echoUdp(served.services)),
    );
    const socket = await (await guest.agent()).udp("0.0.0.0");
    for (const echo of echoes) {
      await socket.send(echo, `to ${echo.port}`);
      expect(await socket.receive()).toEqual({ text: `to ${echo.port}`, from: echo });
    }
  });

  test("many sockets of the guest speak to one, which tells them apart", async ({ lab }) => {
    await using guest = await lab.guest();
    const agent = await guest.agent();
    const server = await lab.world.agent.udp(served.services);
    const sockets = await Promise.all(Array.from({ length: 8 }, () => agent.udp("0.0.0.0")));
    for (const socket of sockets) {
      await socket.send(server.endpoint, `from ${socket.endpoint.port}`);
      const { text, from } = await server.receive();
      await server.send(from, `re: ${text}`);
    }
    for (const socket of sockets) {
      const { text } = await socket.receive();
      expect(text).toBe(`re: from ${socket.endpoint.port}`);
    }
  });
});

describe("DNS at the network's third address", () => {
  test.for([
    ["A", served.http],
    ["AAAA", served.http6],
    ["TXT", `"the world of Slipway's lab"`],
  ] as const)("%s", async ([type, answer], { lab }) => {
    await using guest = await lab.guest();
    const command = ["dig", "+short", `@${guest.addresses.dns}`, httpName, type];
    expect((await guest.namespace.output(command)).trim()).toBe(answer);
  });

  test("says so when a name does not exist", async ({ lab }) => {
    await using guest = await lab.guest();
    const command = ["dig", `@${guest.addresses.dns}`, "nobody.example"];
    expect(await guest.namespace.output(command)).toContain("status: NXDOMAIN");
  });
});

test("the gateway answers ping", async ({ lab }) => {
  await using guest = await lab.guest();
  const outcome = await guest.run([
    "ping",
    "-c",
    "3",
    "-i",
    "0.2",
    "-W",
    "2",
    guest.addresses.gateway,
  ]);
  expect(outcome.stdout).toContain("3 received");
  expect(outcome.code).toBe(0);
});
