import { readFileSync } from "node:fs";
import { failing, served } from "../lab/addresses.ts";
import type { Agent, Connection } from "../lab/agent/client.ts";
import type { Lab } from "../lab/lab.ts";
import { helper, isSlipway } from "../lab/product.ts";
import { finalFigures } from "../lab/statistics.ts";
import { addForward, apiGuest } from "./api-client.ts";
import { describe, expect, test } from "./fixture.ts";

interface Ends {
  readonly inside: Connection;
  readonly outside: Connection;
}

async function connections(lab: Lab, agent: Agent, count: number): Promise<Ends[]> {
  const listener = await lab.world.agent.listen(served.services);
  const ends: Ends[] = [];
  for (let i = 0; i < count; i += 1) {
    const inside = await agent.connect(listener.endpoint);
    ends.push({ inside, outside: await listener.accept() });
  }
  return ends;
}

/** Whether bytes get through. */
async function use({ inside, outside }: Ends): Promise<void> {
  await inside.write("still");
  expect(await outside.read(5)).toBe("still");
}

describe.runIf(isSlipway)("at a limit the TCP connection idle for longest is reset", () => {
  test("among all connections", async ({ lab }) => {
    await using guest = await lab.guest({ options: ["--max-flows=4", "--stats"] });
    const agent = await guest.agent();
    const [first, second, ...others] = await connections(lab, agent, 4);
    await use(first);
    const [fifth] = await connections(lab, agent, 1);
    expect(await second.inside.closed()).toBe("ECONNRESET");
    expect(await second.outside.closed()).toBe("ECONNRESET");
    for (const ends of [first, ...others, fifth]) await use(ends);
    expect(guest.helper.stderr).toContain("warning: more than 4 TCP connections: ");
    const figures = await finalFigures(guest);
    expect(figures.get("tcp-connections")).toBe(4);
    expect(figures.get("dropped limit-flows")).toBe(1);
  });

  test("among connections to one destination", async ({ lab }) => {
    const options = ["--max-flows-per-destination=2", "--stats"];
    await using guest = await lab.guest({ options });
    const agent = await guest.agent();
    const [elsewhere] = await connections(lab, agent, 1);
    const [first, second, third] = await connections(lab, agent, 3);
    expect(await first.inside.closed()).toBe("ECONNRESET");
    for (const ends of [elsewhere, second, third]) await use(ends);
    expect((await finalFigures(guest)).get("dropped limit-destination")).toBe(1);
  });
});

test.runIf(isSlipway)(
  "above the limit of unanswered connections the oldest is dropped",
  async ({ lab }) => {
    await using guest = await lab.guest({ options: ["--max-half-open=2", "--stats"] });
    const agent = await guest.agent();
    const attempts = Array.from({ length: 3 }, (_, i) =>
      guest.spawn(["socat", "-u", "OPEN:/dev/null", `TCP:${failing.blackHole}:${1000 + i}`]),
    );
    const [ends] = await connections(lab, agent, 1);
    await use(ends);
    for (const attempt of attempts) attempt.kill("SIGKILL");
    const figures = await finalFigures(guest);
    expect(figures.get("dropped limit-half-open")).toBeGreaterThanOrEqual(1);
    expect(figures.get("tcp-host-sockets")).toBeLessThanOrEqual(3);
  },
);

test.runIf(isSlipway)(
  "failed connections above the rate are dropped; established ones do not count",
  async ({ lab }) => {
    const limits = ["--max-new-flows=1", "--max-new-mappings=1", "--max-half-open=1"];
    const options = [...limits, "--stats"];
    await using guest = await lab.guest({ options });
    const agent = await guest.agent();
    const echo = await lab.world.agent.echo(served.services);
    for (let count = 0; count < 40; count += 1) {
      const connection = await agent.connect(echo);
      await connection.write("x");
      expect(await connection.read(1)).toBe("x");
    }
    const attempts = Array.from({ length: 4 }, (_, i) =>
      guest.spawn(["socat", "-u", "OPEN:/dev/null", `TCP:${failing.blackHole}:${1000 + i}`]),
    );
    await expect.poll(() => guest.helper.stderr).toContain("new TCP connections per second");
    for (const attempt of attempts) attempt.kill("SIGKILL");
    const late = await agent.connect(echo);
    await late.write("x");
    expect(await late.read(1)).toBe("x");
    const sockets = await Promise.all(Array.from({ length: 8 }, () => agent.udp("0.0.0.0")));
    const nobody = { address: failing.blackHole, port: 9 };
    await Promise.all(sockets.map((socket) => socket.send(nobody, "x")));
    await expect.poll(() => guest.helper.stderr).toContain("new UDP flows per second");
    const figures = await finalFigures(guest);
    expect(figures.get("dropped limit-rate")).toBeGreaterThanOrEqual(1);
    expect(figures.get("dropped limit-mapping-rate")).toBeGreaterThanOrEqual(1);
  },
);

test.runIf(isSlipway)("at the limit the UDP flow idle for longest ends", async ({ lab }) => {
  await using guest = await lab.guest({ options: ["--max-mappings=3", "--stats"] });
  const agent = await guest.agent();
  const echo = await lab.world.agent.echoUdp(served.services);
  const world = await lab.world.agent.udp(served.services);
  const sockets = await Promise.all([1, 2, 3, 4].map(() => agent.udp("0.0.0.0")));
  const seen: { address: string; port: number }[] = [];
  for (const socket of sockets) {
    await socket.send(echo, "x");
    await socket.receive();
    await socket.send(world.endpoint, "who");
    seen.push((await world.receive()).from);
    await sockets[0].send(echo, "again");
    await sockets[0].receive();
  }
  // The first is still in use; the second's port on the host is gone.
  await world.send(seen[1], "late");
  for (const at of [0, 2, 3]) {
    await world.send(seen[at], `${at}`);
    expect((await sockets[at].receive()).text).toBe(`${at}`);
  }
  await expect(sockets[1].receive(200)).rejects.toThrow("no answer");
  const figures = await finalFigures(guest);
  expect(figures.get("datagram-host-sockets")).toBe(3);
  expect(figures.get("dropped limit-mappings")).toBe(1);
});

test.runIf(isSlipway)("published ports above the limit are refused", async ({ lab }) => {
  await using api = await apiGuest(lab, { options: ["--max-listeners=1", "--stats"] });
  const { guest, socket } = api;
  const forward = { proto: "tcp", host_addr: "0.0.0.0", host_port: 8070, guestPort: 80 } as const;
  await addForward(lab, socket, forward);
  await expect(addForward(lab, socket, { ...forward, host_port: 8071 })).rejects.toThrow("failed");
  expect((await finalFigures(guest)).get("dropped limit-listeners")).toBe(1);
  const ports = ["--publish=8072:80", "--publish=8073:80"];
  const run = lab.host.slipway(["run", "--max-listeners=1", ...ports, "true"]);
  const { code, stderr } = await run.ended(10_000);
  expect(stderr).toContain("as many as --max-listeners allows");
  expect(code).toBe(1);
});

test.runIf(isSlipway)("at the limit the oldest DNS query fails", async ({ lab }) => {
  await lab.host.root.shell(`echo nameserver ${failing.blackHole} > /etc/resolv.conf`);
  await using guest = await lab.guest({ options: ["--max-dns-queries=1", "--stats"] });
  const dig = (name: string) => guest.run(["dig", "+tries=1", "+time=5", "@10.0.2.3", name]);
  const [first, second] = await Promise.all([dig("first.example"), dig("second.example")]);
  expect([first.stdout, second.stdout].filter((out) => out.includes("SERVFAIL"))).toHaveLength(1);
  expect((await finalFigures(guest)).get("dropped limit-dns-queries")).toBe(1);
  await lab.host.root.shell(`echo nameserver ${served.dns} > /etc/resolv.conf`);
});

describe.runIf(isSlipway)("file descriptors", () => {
  test("may be as many as the process's hard limit", async ({ lab }) => {
    const program = ["prlimit", "--nofile=100:3000", lab.host.stage.inside(helper)];
    await using guest = await lab.guest({ helper: program });
    const limits = readFileSync(`/proc/${guest.helper.pid}/limits`, "utf8");
    expect(limits).toMatch(/^Max open files +3000 +3000 /m);
  });

  test("that run out refuse new flows and keep existing ones, and all works again later", async ({
    lab,
  }) => {
    const program = ["prlimit", "--nofile=60:60", lab.host.stage.inside(helper)];
    await using guest = await lab.guest({ helper: program, options: ["--stats"] });
    const agent = await guest.agent();
    const listener = await lab.world.agent.listen(served.services);
    const echo = await lab.world.agent.echoUdp(served.services);
    const inside: Connection[] = [];
    const outside: Connection[] = [];
    let refusal = "";
    while (refusal === "" && inside.length < 60) {
      try {
        inside.push(await agent.connect(listener.endpoint));
        outside.push(await listener.accept());
      } catch (error) {
        refusal = (error as { code: string }).code;
      }
    }
    expect(refusal).toBe("ECONNREFUSED");
    expect((await agent.refusal(listener.endpoint)).code).toBe("ECONNREFUSED");
    const udp = await agent.udp("0.0.0.0");
    await udp.send(echo, "x");
    const { stdout } = await guest.run(["sh", "-c", "dig +tries=1 +time=20 @10.0.2.3 a.example"]);
    expect(stdout).toContain("SERVFAIL");
    for (const [i, connection] of inside.entries())
      await use({ inside: connection, outside: outside[i] });
    expect(guest.helper.stderr.match(/no file descriptor is left/g)).toHaveLength(1);
    await Promise.all([...inside, ...outside].map((connection) => connection.close()));
    await expect
      .poll(() => agent.connect(listener.endpoint).then(() => "connected", String))
      .toBe("connected");
    await udp.send(echo, "y");
    expect((await udp.receive()).text).toBe("y");
    expect((await finalFigures(guest)).get("dropped limit-descriptors")).toBeGreaterThan(1);
  });
});
