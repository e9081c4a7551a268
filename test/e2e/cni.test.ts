import { isSlipway } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    await user.ok("network", "create", "pods", "--subnet", "10.90.4.0/24", "--ipv6");
    await user.ok("network", "create", "inner", "--subnet", "10.90.5.0/24", "--internal");
    return user;
  })
  .runIf(isSlipway);

/** The part of a plugin's stdout that the tests check. */
interface Printed {
  readonly cniVersion: string;
  readonly code?: number;
  readonly msg?: string;
  readonly supportedVersions?: readonly string[];
  readonly interfaces?: readonly { name: string; mac: string; sandbox: string }[];
  readonly ips?: readonly { address: string; gateway: string; interface: number }[];
  readonly routes?: readonly object[];
  readonly dns?: object;
}

interface Answer {
  readonly code: number | null;
  readonly printed: Printed | null;
}

const config = { cniVersion: "1.0.0", name: "podnet", type: "slipway-cni", network: "pods" };

/** Starts the plugin as a runtime does. */
async function plugin(
  user: DaemonUser,
  verb: string,
  conf: object | string,
  env: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { code, stdout, stderr } = await user.lab.host.user.run(
    [`${user.lab.host.slipwayPath}-cni`],
    {
      env: { ...user.env, CNI_COMMAND: verb, CNI_PATH: "/nowhere", ...env },
      input: typeof conf === "string" ? conf : JSON.stringify(conf),
    },
  );
  expect(stderr).toBe("");
  return { code, printed: stdout === "" ? null : JSON.parse(stdout) };
}

/** The output of a plugin that must succeed. */
async function succeed(...args: Parameters<typeof plugin>): Promise<Printed | null> {
  const { code, printed } = await plugin(...args);
  expect({ code, printed }).toMatchObject({ code: 0 });
  return printed;
}

/** Code and message of a plugin that must fail. */
async function failure(...args: Parameters<typeof plugin>): Promise<string> {
  const { code, printed } = await plugin(...args);
  expect(code).toBe(1);
  return `${printed?.code} ${printed?.msg}`;
}

let serial = 0;

/** A container as a runtime has it before its networks: a namespace and an id. */
async function container(user: DaemonUser) {
  serial += 1;
  const namespace = await user.lab.host.namespace("10.90.4.1");
  const env = {
    CNI_CONTAINERID: `container-${serial}`,
    CNI_NETNS: `/proc/${namespace.pid}/ns/net`,
    CNI_IFNAME: "eth0",
  };
  return { namespace, env, id: env.CNI_CONTAINERID };
}

async function membersOf(user: DaemonUser, network: string): Promise<string[]> {
  const [report] = await user.inspect(network);
  return Object.values(report.Containers).map(({ Name }) => Name);
}

describe("slipway-cni", () => {
  test("reports its versions", async ({ user }) => {
    const versions = { supportedVersions: ["0.4.0", "1.0.0", "1.1.0"] };
    expect(await succeed(user, "VERSION", '{"cniVersion":"1.0.0"}')).toEqual({
      cniVersion: "1.0.0",
      ...versions,
    });
    expect(await succeed(user, "VERSION", "")).toEqual({ cniVersion: "1.1.0", ...versions });
  });

  test("adds an attachment to a network without IPv4", async ({ user }) => {
    await user.ok("network", "create", "six", "--ipv6", "--ipv4=false", "--subnet", "fd04::/64");
    const { env } = await container(user);
    const conf = { ...config, network: "six" };
    const result = await succeed(user, "ADD", conf, env);
    expect(result).toMatchObject({
      ips: [{ address: "fd04::2/64", gateway: "fd04::1", interface: 0 }],
      routes: [{ dst: "::/0", gw: "fd04::1" }],
      dns: { nameservers: ["fd04::1"] },
    });
    await succeed(user, "CHECK", { ...conf, prevResult: result }, env);
    await succeed(user, "DEL", conf, env);
  });

  test("adds, checks and deletes an attachment", async ({ user }) => {
    const { namespace, env } = await container(user);
    const result = await succeed(user, "ADD", config, env);
    const [{ mac }] = result?.interfaces ?? [{ mac: "" }];
    expect(result).toMatchObject({
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", sandbox: env.CNI_NETNS }],
      ips: [
        { address: "10.90.4.2/24", gateway: "10.90.4.1", interface: 0 },
        { address: expect.stringMatching(/^fd.*\/64$/), interface: 0 },
      ],
      routes: [{ dst: "0.0.0.0/0", gw: "10.90.4.1" }, { dst: "::/0" }],
      dns: { nameservers: ["10.90.4.1", expect.stringMatching(/^fd/)] },
    });
    expect(await namespace.output(["ip", "-o", "link", "show", "eth0"])).toContain(mac);
    for (const address of ["10.90.4.1", "fd"]) {
      const routes = await namespace.shell("ip route show default; ip -6 route show default");
      expect(routes).toContain(`default via ${address}`);
    }
    await namespace.output(["curl", "-s", "-o", "/dev/null", "http://world.example/"]);
    const checked = { ...config, prevResult: result };
    expect(await succeed(user, "CHECK", checked, env)).toBeNull();

    expect(await succeed(user, "DEL", checked, env)).toBeNull();
    expect(await membersOf(user, "pods")).toEqual([]);
    await eventually(async () => {
      expect((await namespace.run(["ip", "link", "show", "eth0"])).code).not.toBe(0);
    });
    expect(await failure(user, "CHECK", checked, env)).toContain("101 container-");
    // Again, of one that never existed, and when the runtime no longer knows a namespace.
    await succeed(user, "DEL", config, env);
    await succeed(user, "DEL", config, { ...env, CNI_CONTAINERID: "never", CNI_NETNS: "" });
  });

  test("accepts a network's id for all verbs", async ({ user }) => {
    const [{ Id }] = await user.inspect("pods");
    for (const network of [Id, Id.slice(0, 12)]) {
      const { env } = await container(user);
      const byId = { ...config, name: `id${network.length}`, network };
      const prevResult = await succeed(user, "ADD", byId, env);
      await succeed(user, "CHECK", { ...byId, prevResult }, env);
      expect(await membersOf(user, "pods")).toHaveLength(1);
      await succeed(user, "DEL", byId, env);
      expect(await membersOf(user, "pods")).toEqual([]);
    }
  });

  test("CHECK detects another address, and a missing interface", async ({ user }) => {
    const { namespace, env } = await container(user);
    const result = await succeed(user, "ADD", config, env);
    const ips = [{ address: "10.90.4.99/24", interface: 0 }];
    expect(
      await failure(user, "CHECK", { ...config, prevResult: { ...result, ips } }, env),
    ).toMatch(/^101 eth0 has 10\.90\.4\.\d+, fd[0-9a-f:]+, not 10\.90\.4\.99$/);
    expect(await failure(user, "CHECK", config, env)).toContain(
      "7 network configuration: prevResult",
    );
    await namespace.shell("ip link delete eth0");
    await eventually(async () => {
      expect(await failure(user, "CHECK", { ...config, prevResult: result }, env)).toMatch(/^101 /);
    });
    await succeed(user, "DEL", config, env);
  });

  test("honours capabilities, args and CNI_ARGS", async ({ user, lab }) => {
    const one = await container(user);
    const runtimeConfig = {
      ips: ["10.90.4.50/24"],
      mac: "02:11:22:33:44:55",
      aliases: { podnet: ["store_1.web"], other: ["nobody"] },
      portMappings: [{ hostPort: 8095, containerPort: 80, protocol: "tcp", hostIP: "" }],
      dns: { searches: ["corp.example"] },
    };
    const args = { ...one.env, CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=proj_db.1;K8S_POD_UID=7" };
    const added = await succeed(user, "ADD", { ...config, runtimeConfig }, args);
    expect(added).toMatchObject({
      interfaces: [{ mac: "02:11:22:33:44:55" }],
      ips: [{ address: "10.90.4.50/24" }, {}],
      dns: { search: ["corp.example"] },
    });
    const two = await container(user);
    const given = { ...two.env, CNI_ARGS: "IP=10.90.4.60;MAC=02:11:22:33:44:66" };
    const second = await succeed(user, "ADD", config, given);
    expect(second?.interfaces?.[0].mac).toBe("02:11:22:33:44:66");
    expect(second?.ips?.[0].address).toBe("10.90.4.60/24");
    for (const name of ["proj_db.1", "store_1.web"]) {
      expect(await two.namespace.output(["dig", "+short", name])).toBe("10.90.4.50\n");
    }
    expect(await two.namespace.output(["dig", "+short", "nobody"])).toBe("");
    const three = await container(user);
    // The name is taken, whatever its case: it is known by its id.
    const third = { ...config, args: { cni: { ips: ["10.90.4.70"] } } };
    await succeed(user, "ADD", third, { ...three.env, CNI_ARGS: "K8S_POD_NAME=Proj_DB.1" });
    expect(await two.namespace.output(["dig", "+short", three.id.slice(0, 12)])).toBe(
      "10.90.4.70\n",
    );
    expect(await lab.host.user.output(["ss", "-Hlnt"])).toContain(":8095");
    // A port that is taken: nothing remains of the attachment.
    const four = await container(user);
    const taken = { ...config, runtimeConfig: { portMappings: runtimeConfig.portMappings } };
    expect(await failure(user, "ADD", taken, four.env)).toContain("100 cannot publish");
    expect(await membersOf(user, "pods")).toHaveLength(3);
    for (const { env } of [one, two, three]) await succeed(user, "DEL", config, env);
    expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8095");
  });

  test("connects one container to two networks", async ({ user }) => {
    const { namespace, env } = await container(user);
    await succeed(user, "ADD", config, env);
    const inner = { ...config, cniVersion: "0.4.0", name: "inner", network: undefined };
    const before = { ...inner, prevResult: { cniVersion: "0.4.0", interfaces: [{ name: "lo" }] } };
    const second = await succeed(user, "ADD", before, { ...env, CNI_IFNAME: "net1" });
    expect(second).toMatchObject({
      interfaces: [{ name: "lo" }, { name: "net1" }],
      ips: [{ version: "4", address: "10.90.5.2/24", interface: 1 }],
      routes: [],
    });
    expect((await user.members()).map(({ networks }) => networks.length)).toEqual([2]);
    await succeed(user, "DEL", inner, { ...env, CNI_IFNAME: "net1" });
    expect(await membersOf(user, "inner")).toEqual([]);
    expect(await namespace.output(["ip", "-br", "link"])).toMatch(/eth0/);
    await succeed(user, "DEL", config, env);
  });

  test("GC removes invalid attachments, and nothing of others", async ({ user }) => {
    const newest = { ...config, cniVersion: "1.1.0" };
    const kept = await container(user);
    const stale = await container(user);
    const other = await container(user);
    await succeed(user, "ADD", newest, { ...kept.env, CNI_ARGS: "K8S_POD_NAME=kept" });
    await succeed(user, "ADD", newest, { ...stale.env, CNI_ARGS: "K8S_POD_NAME=stale" });
    await succeed(
      user,
      "ADD",
      { ...newest, name: "other" },
      { ...other.env, CNI_ARGS: "K8S_POD_NAME=other" },
    );
    await user.member("pods", "by-hand");
    const valid = [{ containerID: kept.id, ifname: "eth0" }];
    expect(await failure(user, "GC", newest)).toContain("valid-attachments is missing");
    await succeed(user, "GC", { ...newest, "cni.dev/valid-attachments": valid });
    expect((await membersOf(user, "pods")).sort()).toEqual(["by-hand", "kept", "other"]);
    await succeed(user, "GC", { ...newest, "cni.dev/valid-attachments": null });
    expect((await membersOf(user, "pods")).sort()).toEqual(["by-hand", "other"]);
    await succeed(user, "DEL", { ...newest, name: "other" }, other.env);
    await user.ok("network", "disconnect", "pods", "by-hand");
  });

  test("STATUS reports whether ADD would work", async ({ user, lab }) => {
    const newest = { ...config, cniVersion: "1.1.0" };
    expect(await succeed(user, "STATUS", newest)).toBeNull();
    expect(await failure(user, "STATUS", { ...newest, network: "nope" })).toContain(
      "50 network nope does not exist",
    );
    await using nobody = await DaemonUser.create(lab);
    expect(await failure(nobody, "STATUS", newest)).toBe("51 the slipway daemon is not running");
    const { env } = await container(nobody);
    expect(await failure(nobody, "ADD", config, env)).toBe("11 the slipway daemon is not running");
    await succeed(nobody, "DEL", config, env);
  });

  test("published ports outlive the daemon", async ({ user, lab }) => {
    const { namespace, env } = await container(user);
    const portMappings = [{ hostPort: 8096, containerPort: 80, protocol: "TCP" }];
    await succeed(user, "ADD", { ...config, runtimeConfig: { portMappings } }, env);
    namespace.spawn(["socat", "TCP-LISTEN:80,fork,reuseaddr", "SYSTEM:echo served"]);
    const isServed = () =>
      eventually(async () => {
        const answer = await lab.host.user.output(["socat", "-T5", "-", "TCP:127.0.0.1:8096"]);
        expect(answer).toBe("served\n");
      });
    await isServed();
    await user.kill();
    await isServed();
    await succeed(user, "DEL", config, env);
    await eventually(async () => {
      expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8096");
    });
  });

  const good = { CNI_CONTAINERID: "c", CNI_NETNS: "/proc/self/ns/net", CNI_IFNAME: "eth0" };
  test.for([
    ["FLY", config, good, "4 CNI_COMMAND: FLY is not valid"],
    ["", config, good, "4 CNI_COMMAND is missing"],
    ["ADD", config, { ...good, CNI_CONTAINERID: "" }, "4 CNI_CONTAINERID is missing"],
    ["ADD", config, { ...good, CNI_CONTAINERID: "../x" }, "4 CNI_CONTAINERID: ../x"],
    ["ADD", config, { ...good, CNI_IFNAME: "a/b" }, "4 CNI_IFNAME: a/b"],
    ["ADD", config, { ...good, CNI_NETNS: "" }, "4 CNI_NETNS is missing"],
    ["ADD", config, { ...good, CNI_NETNS: "/nowhere" }, "4 CNI_NETNS: cannot open /nowhere"],
    ["ADD", config, { ...good, CNI_ARGS: "COLOUR=red" }, "4 CNI_ARGS: COLOUR"],
    ["ADD", "nonsense", good, "6 the configuration on stdin is not JSON"],
    ["ADD", { ...config, cniVersion: "0.2.0" }, good, "1 cniVersion 0.2.0 is not supported"],
    ["GC", config, {}, "1 GC needs cniVersion 1.1.0, not 1.0.0"],
    ["STATUS", config, {}, "1 STATUS needs cniVersion 1.1.0, not 1.0.0"],
    ["ADD", { ...config, name: undefined }, good, "7 network configuration: name"],
    ["ADD", { ...config, network: "nope" }, good, "100 network nope does not exist"],
    [
      "ADD",
      { ...config, runtimeConfig: { portMappings: [{ hostPort: "x", containerPort: 80 }] } },
      good,
      "7 network configuration: runtimeConfig.portMappings[0].hostPort",
    ],
    [
      "ADD",
      { ...config, runtimeConfig: { ips: ["10.91.0.1"] } },
      good,
      "100 address 10.91.0.1 is outside of network pods",
    ],
  ] as const)("refuses %s %j %j", async ([verb, conf, env, sentence], { user }) => {
    expect(await failure(user, verb, conf, env)).toContain(sentence);
  });
});
