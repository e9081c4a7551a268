import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { link, served } from "../lab/addresses.ts";
import { type Agent, type Connection, SocketError } from "../lab/agent/client.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import { isOpenToTests } from "../lab/process.ts";
import { isSlipway, root } from "../lab/product.ts";
import { type ApiGuest, addForward, apiGuest } from "./api-client.ts";
import { corruptStacks, stackMemories } from "./corrupt.ts";
import { faultyHelper } from "./faulty-helper.ts";
import { test as base, describe, expect } from "./fixture.ts";

const mebibyte = 1024 * 1024;

interface Ends {
  readonly inside: Connection;
  readonly outside: Connection;
}

async function connect(lab: Lab, agent: Agent): Promise<Ends> {
  await using listener = await lab.world.agent.listen(served.services);
  const inside = await agent.connect(listener.endpoint);
  return { inside, outside: await listener.accept() };
}

/** A server in the guest, published at a port of the host. */
async function publishServer(lab: Lab, api: ApiGuest, agent: Agent, port: number) {
  const server = await agent.listen("0.0.0.0");
  const published = { address: link.host, port };
  await addForward(lab, api.socket, {
    proto: "tcp",
    host_addr: published.address,
    host_port: port,
    guestPort: server.endpoint.port,
  });
  /** A client from the world reaches the guest. */
  return async () => {
    const client = await lab.world.agent.connect(published);
    await client.write("hello");
    const accepted = await server.accept();
    expect(await accepted.read(5)).toBe("hello");
    await Promise.all([client.close(), accepted.close()]);
  };
}

/** Both ways at once, with pauses: lasts as long as the pauses take. */
async function exchange({ inside, outside }: Ends, bytes = 8 * mebibyte, pauses = 100) {
  const oneWay = async (from: Connection, to: Connection) => {
    const received = to.receive(bytes, pauses / 2);
    const sent = await from.send(bytes, pauses);
    await from.end();
    expect(await received).toEqual(sent);
  };
  await Promise.all([oneWay(inside, outside), oneWay(outside, inside)]);
}

async function answers(lab: Lab, agent: Agent): Promise<void> {
  const { inside, outside } = await connect(lab, agent);
  await inside.write("question");
  expect(await outside.read(8)).toBe("question");
  await outside.write("answer");
  expect(await inside.read(6)).toBe("answer");
  await Promise.all([inside.close(), outside.close()]);
}

const test = base.runIf(isSlipway);

/** The memory of a former stack may still be there. */
async function corrupt(lab: Lab, { helper }: Guest): Promise<void> {
  await corruptStacks(lab, helper.pid, await stackMemories(lab, helper.pid));
}

describe.runIf(isOpenToTests)("a trap in WASM", () => {
  test("resets the guest's connections and keeps its published ports; the fourth ends the process", async ({
    lab,
  }) => {
    await using api = await apiGuest(lab, {});
    const { guest } = api;
    const agent = await guest.agent();
    const asksPublished = await publishServer(lab, api, agent, 8090);
    for (let fault = 1; fault <= 3; fault += 1) {
      const { inside, outside } = await connect(lab, agent);
      await corrupt(lab, guest);
      // A tick of lwIP may have trapped first.
      await inside.write("into the void").catch(() => undefined);
      expect(await outside.closed()).toBe("ECONNRESET");
      await inside.write("again").catch(() => undefined);
      expect(await inside.closed()).toBe("ECONNRESET");
      await answers(lab, agent);
      await asksPublished();
      const lines = guest.helper.stderr.trim().split("\n");
      expect(lines).toHaveLength(fault);
      expect(lines.at(-1)).toMatch(
        /^slirp4netns: error: the stack failed \(RuntimeError: .+\) and was built again: its connections are reset$/,
      );
    }
    const { inside } = await connect(lab, agent);
    await corrupt(lab, guest);
    await inside.write("once too often").catch(() => undefined);
    const { code, stderr } = await guest.helper.ended(10_000);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /\nslirp4netns: tap0: the stack failed \(.+\): the network of .+ is gone\n$/,
    );
  });
});

describe("existing connections continue, and lose nothing, after", () => {
  test("the host's network was down", async ({ lab }) => {
    await using guest = await lab.guest();
    const agent = await guest.agent();
    const under = exchange(await connect(lab, agent));
    await delay(300);
    await lab.host.root.shell("ip link set eth0 down");
    const { code } = await agent.refusal({ address: served.services, port: 9 });
    expect(code).toBe("ENETUNREACH");
    await delay(1_000);
    await lab.host.root.shell(`
      ip link set eth0 up
      ip route add default via ${link.world}
      ip route add throw 192.0.2.1 2>/dev/null || true
    `);
    await under;
    await answers(lab, agent);
  });

  test("the host's address changed for a while; new connections use the new one", async ({
    lab,
  }) => {
    await using guest = await lab.guest();
    const agent = await guest.agent();
    const udp = await agent.udp("0.0.0.0");
    const echo = await lab.world.agent.echoUdp(served.services);
    const asksByUdp = async () => {
      await udp.send(echo, "who");
      expect((await udp.receive()).text).toBe("who");
    };
    await asksByUdp();
    const under = exchange(await connect(lab, agent));
    const [from, to] = [`${link.host}/${link.length}`, `198.51.100.77/${link.length}`];
    const route = `ip route replace default via ${link.world}`;
    await lab.host.root.shell(
      `ip address del ${from} dev eth0; ip address add ${to} dev eth0; ${route}`,
    );
    await answers(lab, agent);
    await asksByUdp();
    await delay(500);
    await lab.host.root.shell(
      `ip address del ${to} dev eth0; ip address add ${from} dev eth0; ${route}`,
    );
    await under;
    await asksByUdp();
  });

  test("the process was suspended", async ({ lab }) => {
    await using guest = await lab.guest();
    const agent = await guest.agent();
    const idle = await connect(lab, agent);
    const under = exchange(await connect(lab, agent));
    await delay(300);
    guest.helper.kill("SIGSTOP");
    await delay(5_000);
    guest.helper.kill("SIGCONT");
    await under;
    await idle.inside.write("still here");
    expect(await idle.outside.read(10)).toBe("still here");
    await answers(lab, agent);
  });

  test("the TAP was down", async ({ lab }) => {
    await using guest = await lab.guest();
    const agent = await guest.agent();
    const under = exchange(await connect(lab, agent));
    await delay(300);
    await guest.namespace.shell("ip link set tap0 down");
    await delay(500);
    await guest.namespace.shell("ip link set tap0 up; ip route add default via 10.0.2.2");
    await under;
    await answers(lab, agent);
    expect(guest.helper.stderr).toBe("");
  });
});

test("when all processes of the namespaces are killed, the network ends with the reason", async ({
  lab,
}) => {
  const guest = await lab.guest({ options: ["--log-level=info"] });
  const agent = await guest.agent();
  const { inside, outside } = await connect(lab, agent);
  const idle = await connect(lab, agent);
  // Far more than will be sent.
  const sent = inside.send(1024 * mebibyte, 1_000).catch(() => "killed");
  await outside.read(mebibyte);
  const namespace = await guest.namespace.output(["readlink", "/proc/self/ns/net"]);
  await lab.host.root.shell(`
    for process in /proc/[0-9]*; do
      [ "$(readlink $process/ns/net)" != "${namespace.trim()}" ] || kill -KILL "\${process#/proc/}"
    done
  `);
  const { code, stderr } = await guest.helper.ended(30_000);
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/tap0 is down: its process has ended\n$/),
  ]);
  expect(await sent).toBe("killed");
  // By FIN or RST, depending on how far the guest's kernel got.
  await Promise.all([outside.closed(), idle.outside.closed()]);
  const open = ["ss", "-Htan", "state", "connected", "exclude", "time-wait"];
  expect(await lab.host.root.output(open)).toBe("");
  await guest.namespace.release();
});

test("a guest that returns with another MAC, by DHCP, is found", async ({ lab }) => {
  await using api = await apiGuest(lab, {});
  const { guest } = api;
  const agent = await guest.agent();
  const asksPublished = await publishServer(lab, api, agent, 8091);
  await asksPublished();
  await guest.namespace.shell(`
    ip link set tap0 down
    ip address flush dev tap0
    ip link set tap0 address 02:00:5e:10:00:01
    ip link set tap0 up
  `);
  const lease = await guest.run([
    ...["busybox", "udhcpc", "-i", "tap0", "-n", "-q", "-f", "-s", "/bin/true"],
  ]);
  expect(lease.stderr).toMatch(/lease of 10\.0\.2\.\d+ obtained/);
  await guest.namespace.shell(
    "ip address add 10.0.2.100/24 dev tap0; ip route add default via 10.0.2.2",
  );
  await answers(lab, agent);
  await asksPublished();
});

test("a full disk, or any output that takes no more, ends nothing", async ({ lab }) => {
  const program = lab.host.stage.inside(join(root, "bin/slirp4netns"));
  const helper = ["sh", "-c", 'exec "$@" >/dev/full 2>/dev/full', "sh", program];
  await using guest = await lab.guest({ helper, options: ["--stats"] });
  const agent = await guest.agent();
  await answers(lab, agent);
  await corrupt(lab, guest);
  await agent.refusal({ address: served.services, port: 9 });
  await answers(lab, agent);
});

describe("with system calls that fail at random", () => {
  /** How many of 65536 calls fail. */
  const rate = 2_000;

  interface FaultyHelper {
    readonly program: readonly string[];
    readonly set: (rate: number) => Promise<void>;
  }

  async function failingHelper(lab: Lab): Promise<FaultyHelper> {
    const control = join(lab.directory, "rate");
    const outside = lab.host.stage.outside(control);
    const set = async (value: number) => {
      // In place: the file is mapped.
      await using file = await open(outside, "r+");
      await file.write(new Uint8Array(Uint32Array.of(value).buffer), 0, 4, 0);
    };
    await writeFile(outside, new Uint8Array(4), { mode: 0o644 });
    return { program: await faultyHelper(lab, { TUNTAP2_FAULTS: control }), set };
  }

  /** "whole", or the errors that both ends saw; anything else is an unreported loss. */
  async function outcome(from: Connection, to: Connection): Promise<string> {
    const received = to.receive(mebibyte, 3).catch(errorCode);
    const sent = await from.send(mebibyte, 3).catch(errorCode);
    await from.end().catch(errorCode);
    const seen = await received;
    if (typeof seen === "string") return "reset";
    expect(sent).toEqual(seen);
    return "whole";
  }

  const errorCode = (error: unknown): string => {
    if (error instanceof SocketError) return error.code;
    throw error;
  };

  test("accepted data is delivered, or the connection is reset; then resources are back at their baseline", async ({
    lab,
    annotate,
  }) => {
    const { program, set } = await failingHelper(lab);
    await using guest = await lab.guest({ helper: program });
    const agent = await guest.agent();
    await answers(lab, agent);
    const baseline = guest.helper.openDescriptors();
    await set(rate);
    const outcomes: string[] = [];
    const one = async (index: number) => {
      const ends = await connect(lab, agent).catch(errorCode);
      if (typeof ends === "string") return outcomes.push("refused");
      const { inside, outside } = ends;
      const up = index % 2 === 0;
      outcomes.push(await (up ? outcome(inside, outside) : outcome(outside, inside)));
      await Promise.all([inside.close(), outside.close()].map((it) => it.catch(errorCode)));
      return outcomes.length;
    };
    for (let index = 0; index < 48; index += 1) await one(index);
    await set(0);
    const tally = Object.groupBy(outcomes, (it) => it);
    await annotate(JSON.stringify(Object.entries(tally).map(([it, all]) => [it, all?.length])));
    expect(outcomes).toContain("whole");
    for (let index = 0; index < 4; index += 1) await answers(lab, agent);
    await expect.poll(() => guest.helper.openDescriptors()).toBeLessThanOrEqual(baseline);
  });
});
