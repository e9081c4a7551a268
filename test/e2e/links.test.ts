import { setTimeout as sleep } from "node:timers/promises";
import { httpName, link } from "../lab/addresses.ts";
import { Agent } from "../lab/agent/client.ts";
import { ready } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Process } from "../lab/process.ts";
import { helper, isSlipway } from "../lab/product.ts";
import { taps } from "../lab/taps.ts";
import { addForward, ask, userDirectory } from "./api-client.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base.runIf(isSlipway);

/** Address, route and neighbours as the guest's user sets them. */
const CONFIGURE = `
  ip link set lo up
  ip link set tap0 up
  ip address add 10.0.2.100/24 dev tap0
  ip route add default via 10.0.2.2
`;

describe("--netns-type=tapfd", () => {
  async function given(lab: Lab, namespace: HeldNamespace, mode: "vnet" | "plain") {
    const slirp4netns = lab.host.stage.inside(helper);
    const command = [slirp4netns, "--ready-fd=3", "--stats", "--netns-type=tapfd", "9"];
    const give = [await taps(lab), "give", `${namespace.pid}`, "tap0", mode, "9"];
    const process = lab.host.user.spawn([...give, ...command], { pipes: [3] });
    await ready(process, 3);
    return process;
  }

  test.for([
    ["vnet", true],
    ["plain", false],
  ] as const)(
    "serves a TAP that somebody else has opened: %s",
    async ([mode, isOffloaded], { lab }) => {
      await using namespace = await lab.host.namespace();
      const process = await given(lab, namespace, mode);
      await namespace.shell(CONFIGURE);
      await namespace.output(["ping", "-c1", "-w20", "10.0.2.2"]);
      const body = await namespace.output(["curl", "-sS", "-m", "20", `http://${httpName}/`]);
      expect(body).not.toBe("");
      const sha256 = await lab.world.http.addFile("tapfd", 20_000_000);
      const sum = await namespace.shell(`curl -sS -m 20 http://${httpName}/tapfd | sha256sum`);
      expect(sum.slice(0, 64)).toBe(sha256);
      process.kill("SIGTERM");
      const { stderr } = await process.ended(10_000);
      const [, superframes] = /tcp-superframes-out (\d+)/.exec(stderr) ?? [];
      expect(Number(superframes) > 0).toBe(isOffloaded);
    },
  );

  test("a descriptor that is not a TAP is refused", async ({ lab }) => {
    const args = ["--netns-type=tapfd"];
    const closed = await lab.host.helper([...args, "9"]).ended(10_000);
    expect(closed).toMatchObject({ code: 1 });
    expect(closed.stderr).toMatch(/descriptor 9 is not open/);
    const pipe = await lab.host.helper([...args, "3"], { pipes: [3] }).ended(10_000);
    expect(pipe).toMatchObject({ code: 1 });
    expect(pipe.stderr).toMatch(/descriptor 3 is not a TAP/);
  });
});

describe("--target-type=bess", () => {
  interface Bess {
    readonly process: Process;
    readonly path: string;
    readonly api: string;
  }
  let serial = 0;

  async function served(lab: Lab): Promise<Bess> {
    serial += 1;
    const directory = await userDirectory(lab);
    const [path, api] = [`${directory}/bess.${serial}`, `${directory}/bess.${serial}.api`];
    const args = ["--ready-fd=3", `--api-socket=${api}`, "--enable-ipv6", "--target-type=bess"];
    const process = lab.host.helper([...args, path], { pipes: [3] });
    await ready(process, 3);
    return { process, path, api };
  }

  async function connect(lab: Lab, namespace: HeldNamespace, path: string): Promise<Process> {
    const client = namespace.spawn([await taps(lab), "bess", path, "tap0"]);
    await client.printed(/connected/);
    return client;
  }

  test("a client has ARP, ping, DHCP, DNS, TCP, UDP, IPv6 and published ports", async ({ lab }) => {
    const { process, path, api } = await served(lab);
    expect(await lab.host.user.output(["stat", "-c", "%a %F", path])).toBe("600 socket\n");
    await using namespace = await lab.host.namespace();
    await connect(lab, namespace, path);
    await namespace.shell("ip link set lo up; ip link set tap0 up");
    const lease = await namespace.output([
      ...["busybox", "udhcpc", "-f", "-n", "-q", "-i", "tap0", "-s", "/bin/true"],
    ]);
    expect(lease).toBe("");
    await namespace.shell(CONFIGURE);
    await namespace.output(["ping", "-c1", "-w20", "10.0.2.2"]);
    expect(await namespace.output(["ip", "neigh", "show", "10.0.2.2"])).toMatch(
      /52:55:0a:00:02:02/,
    );
    const sha256 = await lab.world.http.addFile("bess", 20_000_000);
    const sum = await namespace.shell(`curl -sS -m 20 http://${httpName}/bess | sha256sum`);
    expect(sum.slice(0, 64)).toBe(sha256);
    await namespace.shell("ip -6 address add fd00::64/64 dev tap0 nodad");
    await namespace.output(["ping", "-6", "-c1", "-w20", "fd00::2"]);

    const agent = await Agent.start(namespace, lab.host.stage);
    const server = await agent.listen("0.0.0.0");
    const guestPort = server.endpoint.port;
    const forward = { proto: "tcp", host_addr: "0.0.0.0", host_port: 8150, guestPort } as const;
    await addForward(lab, api, forward);
    const outside = await lab.world.agent.connect({ address: link.host, port: 8150 });
    const inside = await server.accept();
    expect(inside.client.address).toBe(link.world);
    const up = inside.receive();
    const sent = await outside.send(5_000_000);
    await outside.end();
    expect(await up).toEqual(sent);
    await agent.close();
    process.kill("SIGTERM");
    expect((await process.ended(10_000)).code).toBe(0);
  });

  test("a socket that a killed helper has left is replaced", async ({ lab }) => {
    const first = await served(lab);
    first.process.kill("SIGKILL");
    await first.process.exit;
    const again = lab.host.helper(["--ready-fd=3", "--target-type=bess", first.path], {
      pipes: [3],
    });
    await ready(again, 3);
    again.kill("SIGTERM");
    expect((await again.ended(10_000)).code).toBe(0);
  });

  test("the next client waits until the one before has gone", async ({ lab }) => {
    const { process, path, api } = await served(lab);
    const use = async (): Promise<Process> => {
      const namespace = await lab.host.namespace();
      const client = await connect(lab, namespace, path);
      await namespace.shell(CONFIGURE);
      await namespace.output(["ping", "-c1", "-w20", "10.0.2.2"]);
      return client;
    };
    const first = await use();
    first.kill("SIGKILL");
    const second = await use();
    expect(await ask(lab, api, { execute: "query_status" })).toHaveProperty("return");
    const third = use();
    const won = await Promise.race([third.then(() => "third"), sleep(300).then(() => "nobody")]);
    expect(won).toBe("nobody");
    second.kill("SIGKILL");
    await third;
    process.kill("SIGTERM");
    await process.ended(10_000);
  });

  test("a path that cannot be listened on is refused", async ({ lab }) => {
    const { process, path } = await served(lab);
    for (const [at, message] of [
      [path, /BESS socket \S+ is in use by another process/],
      ["/etc/passwd", /BESS socket \/etc\/passwd: the path exists and is not a socket/],
    ] as const) {
      const outcome = await lab.host.helper(["--target-type=bess", at]).ended(10_000);
      expect(outcome.stderr).toMatch(message);
      expect(outcome.code).toBe(1);
    }
    process.kill("SIGTERM");
    await process.ended(10_000);
  });
});
