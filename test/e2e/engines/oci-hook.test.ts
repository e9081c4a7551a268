import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MemberReport } from "../../../src/rpc/reports.ts";
import { Account, accountsPossible } from "../../lab/account.ts";
import { link } from "../../lab/addresses.ts";
import { Lab } from "../../lab/lab.ts";
import { helper, isSlipway } from "../../lab/product.ts";
import { eventually } from "../daemon-user.ts";
import { makeImage, serving } from "./image.ts";

const { possible, why } = accountsPossible();

/** The part of config.json that we change. */
interface Config {
  readonly process: object;
  readonly root: object;
  readonly mounts: readonly object[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string }[];
    readonly uidMappings?: readonly object[];
    readonly gidMappings?: readonly object[];
  };
  readonly hooks?: object;
  readonly annotations?: Readonly<Record<string, string>>;
}

describe.runIf(possible && isSlipway)(possible ? "slipway oci-hook" : why, () => {
  let lab: Lab;
  let account: Account;
  let slipway: string;

  beforeAll(async () => {
    lab = await Lab.create(undefined, true);
    slipway = lab.host.slipwayPath;
    account = await Account.create(lab, "oci", [dirname(lab.host.stage.inside(helper))]);
    await makeImage(account);
    await account.user.shell(
      "slipway daemon start --serve-containers; slipway network create web --subnet 10.90.1.0/24 --ipv6; slipway network create inner --internal",
    );
  });

  afterAll(async () => {
    await account.user.output(["slipway", "daemon", "stop"]);
    await account.close();
    await lab.close();
  });

  const members = async (): Promise<readonly MemberReport[]> =>
    JSON.parse(await account.user.output(["slipway", "ps", "--json"]));

  /** The account's subordinate ids, after its own: the daemon serves no hook without any. */
  async function subordinate(file: string) {
    const line = await account.user.output(["grep", "^runner:", file]);
    const [, hostID = 0, size = 0] = line.trim().split(":").map(Number);
    return { containerID: 1, hostID, size };
  }

  /** Makes a bundle of the image, whose container has its own network namespace, and the hooks. */
  async function bundle(runtime: string, name: string, annotations: Record<string, string>) {
    const spec = await account.user.shell(`
      mkdir ${name}
      cd ${name}
      touch resolv.conf hosts
      ${runtime} spec --rootless
      cat config.json
    `);
    const config: Config = JSON.parse(spec);
    const { process, mounts, linux } = config;
    const env = [`XDG_RUNTIME_DIR=${dirname(account.home)}/run`];
    const hook = { path: slipway, args: ["slipway", "oci-hook"], env };
    const files = ["resolv.conf", "hosts"].map((file) => ({
      destination: `/etc/${file}`,
      type: "bind",
      options: ["bind"],
      source: `${account.home}/${name}/${file}`,
    }));
    // crun maps all ids of the user by default.
    const { uidMappings, gidMappings = [] } = linux;
    // runc's rootless example uses the host's network.
    const namespaces = linux.namespaces.filter(({ type }) => type !== "network");
    const changed: Config = {
      ...config,
      process: { ...process, terminal: false, args: [...serving] },
      root: { path: `${account.home}/image`, readonly: false },
      mounts: [...mounts, ...files],
      linux: {
        ...linux,
        namespaces: [...namespaces, { type: "network" }],
        ...(uidMappings && {
          uidMappings: [...uidMappings, await subordinate("/etc/subuid")],
          gidMappings: [...gidMappings, await subordinate("/etc/subgid")],
        }),
      },
      hooks: { createContainer: [hook], poststop: [hook] },
      annotations,
    };
    const input = JSON.stringify(changed);
    await account.user.output(["sh", "-c", `cat > ${name}/config.json`], { input });
  }

  test.for([
    ["crun", "crun --cgroup-manager=disabled"],
    ["runc", "runc"],
  ] as const)("%s: a container is a member while it runs", async ([name, runtime]) => {
    await bundle(runtime, name, {
      "io.slipway.network": "web:alias=store inner",
      "io.slipway.name": "db",
      "io.slipway.publish": "8097:80",
    });
    const start = `cd ${name}; ${runtime} run --detach box > log 2>&1 < /dev/null || cat log`;
    expect(await account.user.shell(start)).toBe("");
    const [member] = await members();
    expect(member).toMatchObject({ name: "db", labels: { "io.slipway.oci": "box" } });
    expect(member.networks.map(({ network, ifname }) => [network, ifname])).toEqual([
      ["web", "eth0"],
      ["inner", "eth1"],
    ]);
    const [v4, v6, inner] = member.networks.flatMap((port) =>
      port.addresses.map(({ address }) => address),
    );
    const files = await account.user.output(["cat", `${name}/hosts`, `${name}/resolv.conf`]);
    expect(files).toBe(
      `${v4}\tdb\n${v6}\tdb\n${inner}\tdb\n` +
        `${member.networks.flatMap((port) => port.addresses.map(({ gateway }) => `nameserver ${gateway}\n`)).join("")}options ndots:0\n`,
    );
    // As others see it, by name; and as the world does, with its own address.
    const curl = ["curl", "--silent", "--retry", "20", "--retry-all-errors"];
    for (const url of ["http://store/cgi-bin/who", `http://[${v6}]/cgi-bin/who`]) {
      const argv = ["slipway", "run", "--network", "web", "--", ...curl, url];
      expect(await account.user.output(argv)).toMatch(/10\.90\.1\.|fd/);
    }
    const url = `http://${link.host}:8097/cgi-bin/who`;
    expect(await lab.world.root.output([...curl, url])).toContain(link.world);
    const inside = await account.user.output([
      ...["sh", "-c", `${runtime} exec box nslookup store`],
    ]);
    expect(inside).toContain(`Address: ${v4}`);
    await account.user.shell(`${runtime} delete --force box`);
    await eventually(async () => expect(await members()).toEqual([]));
  });

  test("a container whose network does not exist is not started", async () => {
    const runtime = "crun --cgroup-manager=disabled";
    await bundle(runtime, "lost", { "io.slipway.network": "web nowhere" });
    const outcome = await account.user.run(["sh", "-c", `cd lost; ${runtime} run box`]);
    expect(outcome.code).not.toBe(0);
    expect(outcome.stderr).toContain("error executing hook");
    expect(await members()).toEqual([]);
  });
});
