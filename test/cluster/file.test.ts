import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it } from "vitest";
import { openFile } from "../../src/cluster/fixed/file.ts";
import type { HostRecord } from "../../src/cluster/records.ts";
import { addressOf, hostRecord, TestHost } from "./hosts.ts";

const FILE = `
[[host]]
name = "a"
addresses = ["192.0.2.1", "2001:db8::1"]

[[host]]
name = "b"
addresses = ["192.0.2.2"]

[[network]]
name = "ov1"
subnets = ["10.100.0.0/24"]
encrypted = false
vni = 42

[[member]]
name = "t1"
network = "ov1"
host = "a"
addresses = ["10.100.0.2"]
aliases = ["db"]

[[member]]
name = "t2"
network = "ov1"
host = "b"
addresses = ["10.100.0.3"]
mac = "02:00:00:00:00:03"
`;

// biome-ignore lint/correctness/noEmptyPattern: vitest reads the dependencies off the pattern
const test = it.extend("file", async ({}, { onCleanup }) => {
  const directory = mkdtempSync(path.join(tmpdir(), "cluster-"));
  onCleanup(() => rmSync(directory, { recursive: true }));
  return (text: string): string => {
    const name = path.join(directory, "cluster.toml");
    writeFileSync(name, text);
    return name;
  };
});

async function join(file: string, record: HostRecord): Promise<TestHost> {
  const host = TestHost.of(openFile(file, record), record);
  await host.cluster.joined;
  return host;
}

test("members get what the file gives them, and know the others", async ({ file }) => {
  await using a = await join(file(FILE), hostRecord(1));
  expect([...a.hosts.values()].map(({ name }) => name)).toEqual(["b"]);
  const [network] = a.cluster.networks;
  expect(network).toMatchObject({ name: "ov1", mtu: 1450, carriage: { kind: "vxlan", vni: 42 } });
  await a.cluster.follow(network.id);
  expect(a.names).toEqual(["t2"]);
  const claim = await a.join(network.id, "T1");
  expect(claim.record.addresses.map(String)).toEqual(["10.100.0.2"]);
  expect(claim.record.names).toEqual(["t1", "db"]);
  expect(claim.record.mac).toBe(0x0242_0a64_0002);
  await using b = await join(file(FILE), hostRecord(2));
  expect(b.cluster.networks).toEqual([network]);
  await b.cluster.follow(network.id);
  const { id: _, ...record } = b.members.get("t1") ?? { id: "" };
  const location = { kind: "host", host: [...b.hosts.values()][0].id };
  expect(record).toEqual({ ...claim.record, id: undefined, location });
});

test("everything else is refused with a sentence", async ({ file }) => {
  const place = file(FILE);
  await using a = await join(place, hostRecord(1));
  const [{ id }] = a.cluster.networks;
  await expect(a.claim(id, "t2")).rejects.toThrow(
    `file:${place} has no member t2 of network ov1 on this host: add it, and restart the daemons, or choose another --name`,
  );
  const wish = { addresses: [addressOf("10.100.0.9")] };
  await expect(a.claim(id, "t1", wish)).rejects.toThrow(/gives member t1 10.100.0.2, not 10.100/);
  for (const change of [a.createNetwork("n"), a.cluster.removeNetwork(id)]) {
    await expect(change).rejects.toThrow(/^networks are what file:.* lists: edit it/);
  }
});

test("what the file has wrong is named", ({ file }) => {
  const wrong: readonly [string, RegExp][] = [
    ["[[host", /cluster.toml is not TOML: /],
    [FILE.replace("vni = 42", "vny = 42"), /network.0.vny is wrong/],
    [FILE.replace("10.100.0.3", "10.200.0.3"), /member t2: its network has no member at 10.200/],
    [FILE.replace('host = "b"', 'host = "c"'), /there is no host c: edit the file$/],
    [FILE.replace("192.0.2.1", "192.0.2.9"), /no host is at 192.0.2.1:4789, as this one/],
    [FILE.replace("encrypted = false\nvni = 42\n", ""), /host a has no public-key/],
    [FILE.replace('name = "t2"', 'name = "t1"'), /member t1 is there twice: edit/],
  ];
  for (const [text, sentence] of wrong) {
    expect(() => openFile(file(text), hostRecord(1))).toThrow(sentence);
  }
  expect(() => openFile("/nowhere", hostRecord(1))).toThrow(
    "the store /nowhere cannot be read (ENOENT)",
  );
});
