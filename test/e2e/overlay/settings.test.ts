import { expect } from "vitest";
import type { DaemonStatus } from "../../../src/rpc/reports.ts";
import { underlay } from "../../lab/cluster.ts";
import { eventually, HostDaemon } from "../daemon-user.ts";
import { clusterTest, configuration } from "./cluster-user.ts";

// What a daemon is set to: by its options, by config.toml, and after a crash.

const test = clusterTest({ hosts: 2 });

async function statusOf(daemon: HostDaemon): Promise<DaemonStatus> {
  const [status]: readonly DaemonStatus[] = JSON.parse(
    await daemon.ok("daemon", "status", "--json"),
  );
  return status;
}

/** Ports of a second daemon on a host. */
const ports = ["--vxlan-port", "4790", "--wireguard-port", "51821"];

test("a daemon that commands start by themselves has what config.toml says, also if they come at once", async ({
  cluster,
}) => {
  const { host } = cluster.hosts[0];
  const file = `${configuration(cluster.lab.etcd.url, 0)}vxlan-port = 4790\nwireguard-port = 51821\n`;
  await using daemon = await HostDaemon.on(host, file.replace(underlay.host(0), "127.0.0.1"));
  const commands = Array.from({ length: 6 }, () => daemon.ok("network", "ls", "--json"));
  expect(new Set(await Promise.all(commands)).size).toBe(1);
  const { cluster: status, settings } = await statusOf(daemon);
  expect(status?.store).toBe(cluster.lab.etcd.url);
  expect(settings).toMatchObject({ "vxlan-port": ["4790"], "wireguard-port": ["51821"] });
});

test("options replace what config.toml says, survive a crash, and are compared by daemon start", async ({
  cluster,
}) => {
  const { host } = cluster.hosts[0];
  const file = configuration(cluster.lab.etcd.url, 1).replace(/\n$/, "\nvxlan-port = 9\n");
  await using daemon = await HostDaemon.on(host, file);
  const options = ["--advertise", underlay.host(0), ...ports];
  await daemon.ok("daemon", "start", ...options);
  const { settings, pid } = await statusOf(daemon);
  expect(settings).toEqual({
    store: [cluster.lab.etcd.url],
    advertise: [underlay.host(0)],
    "vxlan-port": ["4790"],
    "wireguard-port": ["51821"],
  });
  await daemon.ok("daemon", "start", ...options);
  await daemon.ok("daemon", "start");
  expect(await daemon.refusal("daemon", "start", "--vxlan-port", "4791")).toBe(
    "1 slipway: the daemon is already running, without --vxlan-port 4791: slipway daemon stop, then start it again",
  );
  await daemon.kill();
  await eventually(async () => expect((await statusOf(daemon)).pid).not.toBe(pid));
  expect((await statusOf(daemon)).settings).toEqual(settings);
});

test("a second daemon with the same state hears whose it is, not that a port is taken", async ({
  cluster,
}) => {
  const [{ host, env, directory }] = cluster.hosts;
  const other = `${directory}/elsewhere`;
  await host.user.shell(`mkdir -p -m 0700 ${other}`);
  await cluster.hosts[0].ok("daemon", "start");
  const { code, stderr } = await host.user.run([host.slipwayPath, "daemon", "start"], {
    env: { ...env, XDG_RUNTIME_DIR: other },
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^slipway: the state in .* belongs to process \d+, with its sockets in /);
});

test("a password is in no list of processes and no answer", async ({ cluster }) => {
  const { host } = cluster.hosts[1];
  await using daemon = await HostDaemon.on(host, "");
  const place = ["--store", cluster.lab.etcd.url, "--advertise", underlay.host(1), ...ports];
  const user = ["--store-user", "alice", "--store-password", "open-sesame"];
  await daemon.ok("daemon", "start", ...place, ...user);
  const shown = async () => {
    const processes = await host.user.output(["ps", "-ewwo", "args"]);
    expect(processes).toContain("--store-password=env:");
    return processes + (await daemon.ok("daemon", "status", "--json"));
  };
  expect(await shown()).not.toContain("open-sesame");
  const { pid } = await statusOf(daemon);
  await daemon.kill();
  await eventually(async () => expect((await statusOf(daemon)).pid).not.toBe(pid));
  // The next one has it, too: it would have said that the variable is missing.
  expect(await shown()).not.toContain("open-sesame");
  expect((await statusOf(daemon)).warnings.join()).not.toContain("SLIPWAY_STORE_PASSWORD");
});

test("the file of a password is found from where the command is", async ({ cluster }) => {
  const { host } = cluster.hosts[1];
  const daemon = await HostDaemon.on(host, "");
  const place = ["--store", cluster.lab.etcd.url, "--advertise", underlay.host(1), ...ports];
  const missing = await daemon.refusal(
    ...["daemon", "start", ...place, "--store-user", "alice", "--store-password", "@nowhere/word"],
  );
  expect(missing).toMatch(/^1 slipway: .*\/nowhere\/word.*ENOENT/);
});

test("what is wrong in config.toml is one sentence, whichever command starts the daemon", async ({
  cluster,
}) => {
  const { host } = cluster.hosts[0];
  const wrong = [
    ["stoer = 1", 'config.toml: there is no setting "stoer"'],
    ["store = [", "config.toml, line 1, is not TOML: "],
    ['vxlan-port = "x"', "config.toml: vxlan-port must be a whole number from 1 to 65535"],
    ['store = "etcd://192.0.2.1"', "--store needs --advertise"],
  ] as const;
  for (const [text, sentence] of wrong) {
    const daemon = await HostDaemon.on(host, text);
    for (const command of [
      ["daemon", "start"],
      ["network", "ls"],
    ]) {
      const refusal = await daemon.refusal(...command);
      expect(refusal).toMatch(/^1 slipway: .*config\.toml.*$/);
      expect(refusal).toContain(sentence);
    }
    expect(await daemon.refusal("daemon", "status")).toContain("the daemon is not running");
  }
});
