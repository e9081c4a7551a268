import { expect } from "vitest";
import { underlay } from "../../lab/cluster.ts";
import { eventually, type HostDaemon } from "../daemon-user.ts";
import { clusterTest } from "./cluster-user.ts";

// Hosts that are not in the store, or lie; a store that others write into; addresses and ports that are wrong.

const test = clusterTest({ hosts: 3 });

const VNI = 4242;

async function overlay(hosts: readonly HostDaemon[], name: string, ...options: string[]) {
  const create = ["network", "create", "--driver", "overlay", "--opt", "encrypted=false"];
  await hosts[0].ok(...create, ...options, name);
  await Promise.all(hosts.map((host) => eventually(() => host.inspect(name))));
}

interface Tunnels {
  readonly drops: Readonly<Record<string, number>>;
}

async function drops(host: HostDaemon): Promise<Readonly<Record<string, number>>> {
  const [{ cluster }] = [JSON.parse(await host.ok("daemon", "status", "--json"))].flat();
  return (cluster.tunnels as Tunnels).drops;
}

const hex = (address: string) =>
  address
    .split(".")
    .map((byte) => Number(byte).toString(16).padStart(2, "0"))
    .join("");

/** As printf(1) reads it. */
const octal = (byte: string) => `\\${Number.parseInt(byte, 16).toString(8).padStart(3, "0")}`;

/** An Ethernet frame with a UDP datagram to port 7000 in it, behind a VXLAN header. Checksums are left out, as UDP allows. */
function vxlan(
  from: { mac: string; ip: string },
  to: { mac: string; ip: string },
  vni = VNI,
): string {
  const payload = Buffer.from("forged").toString("hex");
  const udp = `1b581b58${(8 + 6).toString(16).padStart(4, "0")}0000${payload}`;
  const head = `4500${(20 + 14).toString(16).padStart(4, "0")}000000004011`;
  const words = `${head}0000${hex(from.ip)}${hex(to.ip)}`.match(/.{4}/g) ?? [];
  let sum = words.reduce((total, word) => total + Number.parseInt(word, 16), 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  const checksum = (~sum & 0xffff).toString(16).padStart(4, "0");
  const ip = `${head}${checksum}${hex(from.ip)}${hex(to.ip)}`;
  const plain = (mac: string) => mac.replaceAll(":", "");
  return `08000000${vni.toString(16).padStart(6, "0")}00${plain(to.mac)}${plain(from.mac)}0800${ip}${udp}`;
}

test("frames of others, and of nobody, are dropped and counted", async ({ cluster }) => {
  const { hosts, lab } = cluster;
  await overlay(hosts, "target", "--opt", `vni=${VNI}`);
  const [a, b, c] = await Promise.all(
    hosts.map((host, index) => host.member("target", `victim${index}`)),
  );
  const macs = await Promise.all(
    hosts.map(async (host) => {
      const [member] = await host.members();
      return member.networks[0].mac;
    }),
  );
  const [to, other, own] = [a, b, c].map(({ addresses }, index) => ({
    mac: macs[index],
    ip: addresses.v4,
  }));
  const receiver = a.namespace.spawn(["socat", "-u", "UDP4-RECV:7000", "STDOUT"]);
  await eventually(async () => expect(await a.namespace.output(["ss", "-uln"])).toContain(":7000"));
  const place = `${underlay.host(0)}:4789`;
  const send = (root: { shell(script: string): Promise<string> }, packet: string, source: string) =>
    root.shell(
      `printf '${packet.replace(/../g, octal)}' | socat -u STDIN UDP4-SENDTO:${place},bind=${source}`,
    );

  // A machine that is no host of the cluster.
  await send(lab.stage.namespace, vxlan(other, to), `${underlay.bridge}:4789`);
  await expect
    .poll(async () => (await drops(hosts[0]))["tunnel-unknown-host"] ?? 0)
    .toBeGreaterThan(0);
  expect((await drops(hosts[0]))["tunnel-spoofed"] ?? 0).toBe(0);
  // A host, in its own namespace, as somebody who is no member of it; its daemon has the port, so another one is used.
  await send(hosts[2].host.root, vxlan(other, to), `${underlay.host(2)}:0`);
  await expect.poll(async () => (await drops(hosts[0]))["tunnel-spoofed"] ?? 0).toBeGreaterThan(0);
  await send(hosts[2].host.root, vxlan({ ...own, ip: other.ip }, to), `${underlay.host(2)}:0`);
  await expect.poll(async () => (await drops(hosts[0]))["tunnel-spoofed"] ?? 0).toBeGreaterThan(1);
  await send(hosts[2].host.root, "0800", `${underlay.host(2)}:0`);
  await expect
    .poll(async () => (await drops(hosts[0]))["tunnel-malformed"] ?? 0)
    .toBeGreaterThan(0);
  expect(receiver.stdout).toBe("");
  // The same frame with its true source arrives: the others were not lost on the way.
  await send(hosts[2].host.root, vxlan(own, to), `${underlay.host(2)}:0`);
  await receiver.printed(/forged/);
  receiver.kill("SIGKILL");
});

test("garbage in the store costs nobody anything", async ({ cluster }) => {
  const { hosts, lab } = cluster;
  await overlay(hosts, "clean");
  const a = await hosts[0].member("clean", "clean-a");
  const [{ Id: id }] = await hosts[0].inspect("clean");
  const prefix = "/slipway/v1/";
  const garbage = ["{", "[]", "null", '{"id":7}', "\u0000", "x".repeat(100_000)];
  for (const [index, value] of garbage.entries()) {
    for (const place of [
      "hosts/",
      "networks/",
      `members/${id}/`,
      `peers/${id}/`,
      "names/",
      "rubbish/",
    ]) {
      await lab.etcd.put(`${prefix}${place}${index}`, value);
      await lab.etcd.put(`${prefix}${place}${String(index).repeat(64)}`, value);
    }
  }
  await hosts[1].member("clean", "clean-b");
  await eventually(async () =>
    expect((await a.namespace.run(["ping", "-n", "-c", "1", "-W", "5", "clean-b"])).code).toBe(0),
  );
  expect((await hosts[2].inspect("clean"))[0].Name).toBe("clean");
  expect((await hosts[2].ok("host", "ls", "-q")).trim().split("\n")).toHaveLength(3);
});

test("addresses, ports and stores that are wrong are refused with a sentence", async ({
  cluster,
}) => {
  const { hosts, lab } = cluster;
  const start = async (...options: string[]) => {
    const env = { ...hosts[0].env, XDG_RUNTIME_DIR: "", XDG_STATE_HOME: "", XDG_CONFIG_HOME: "" };
    const home = `${hosts[0].directory}/second`;
    await hosts[0].host.user.shell(`mkdir -p -m 0700 ${home}`);
    for (const name of Object.keys(env)) Object.assign(env, { [name]: home });
    const { code, stderr } = await hosts[0].host.user.run(
      [hosts[0].host.slipwayPath, "daemon", "start", ...options],
      { env },
    );
    if (code === 0) {
      await hosts[0].host.user.run([hosts[0].host.slipwayPath, "daemon", "stop"], { env });
      return `started ${stderr}`;
    }
    return stderr;
  };
  const store = ["--store", lab.etcd.url];
  const own = ["--advertise", underlay.host(0)];
  const ports = ["--vxlan-port", "4790", "--wireguard-port", "51821"];
  expect(await start(...store, "--advertise", underlay.host(1))).toMatch(
    /--advertise 192\.0\.2\.2 is not an address of this host/,
  );
  expect(await start(...store, ...own)).toMatch(
    /UDP port 192\.0\.2\.1:4789 is in use.*--vxlan-port/,
  );
  expect(await start(...store, ...own, "--vxlan-port", "4790")).toMatch(
    /51820 is in use.*--wireguard-port/,
  );
  expect(await start(...store, ...own, ...ports)).toBe("started ");
  const away = await start("--store", "etcd://192.0.2.250:2379", ...own, ...ports);
  expect(away).toMatch(/^started .*etcd:\/\/192\.0\.2\.250:2379/s);
  expect(await start("--store", `etcd://${underlay.host(0)}:9`, ...own, ...ports)).toMatch(
    /^started .*refuses/s,
  );
  // Another host has that endpoint: this one, as if it were behind the same address.
  expect(await start(...store, ...own, "--listen", "127.0.0.1")).toMatch(
    /^started .*192\.0\.2\.1:4789.*host0/s,
  );
  expect(await start(...store, "--advertise", "127.0.0.1", ...ports)).toMatch(
    /^started .*loopback/s,
  );
});
