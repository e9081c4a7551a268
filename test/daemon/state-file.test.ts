import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readState } from "../../src/daemon/state/state-file.ts";

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "state-"));
  file = join(directory, "state.json");
});
afterEach(() => rmSync(directory, { recursive: true }));

const subnet = { prefix: "10.89.0.0/24", gateway: "10.89.0.1", range: "10.89.0.0/24" };
const subnet6 = { prefix: "fd00::/64", gateway: "fd00::1", range: "fd00::/64" };
const network = {
  id: "a".repeat(64),
  name: "web",
  created: 1_700_000_000_000,
  subnets: [subnet, subnet6],
  internal: false,
  mtu: 1500,
  labels: {},
  options: {},
  last: [1, -1],
};
const member = { name: "db", stays: true, attachments: [{ network: "web", ifname: "eth0" }] };
const state = { version: 2, networks: [network], members: [member] };

describe("the state of networks and members", () => {
  test("is read back as written", () => {
    writeFileSync(file, JSON.stringify(state));
    const { state: read, warning } = readState(file);
    expect(warning).toBeNull();
    expect(read.networks[0]?.definition).toMatchObject({ name: "web", mtu: 1500 });
    expect(read.networks[0]?.last).toEqual([1, -1]);
    expect(read.members[0]).toMatchObject({ ...member, published: [] });
  });

  const networks: readonly (readonly [string, object])[] = [
    ["an id of another kind", { id: "../../etc" }],
    ["a name that is none", { name: "a b" }],
    ["a time that no Date has", { created: 1e300 }],
    ["a part of a millisecond", { created: 0.5 }],
    ["no subnet", { subnets: [] }],
    ["two of one family", { subnets: [subnet, subnet] }],
    ["more than there are families", { subnets: [subnet, subnet6, subnet] }],
    ["a gateway outside", { subnets: [{ ...subnet, gateway: "10.90.0.1" }] }],
    ["a range outside", { subnets: [{ ...subnet, range: "10.0.0.0/8" }] }],
    ["an MTU beyond all frames", { mtu: 1e9 }],
    ["an MTU that is no number", { mtu: "1500" }],
    ["an offset before all", { last: [-5] }],
    ["a label that is no text", { labels: { a: 1 } }],
    ["a label without end", { labels: { a: "x".repeat(5000) } }],
  ];
  test.for(networks)("is kept aside with a network that has %s", ([, change]) => {
    expectDamaged({ ...state, networks: [{ ...network, ...change }] });
    const carriage = { kind: "wireguard" };
    expectDamaged({ ...state, overlays: [{ ...network, ...change, carriage }] });
  });

  test("has overlays with how they reach other hosts", () => {
    const overlay = { ...network, carriage: { kind: "vxlan", vni: 42 } };
    writeFileSync(file, JSON.stringify({ ...state, overlays: [overlay] }));
    expect(readState(file).state.overlays).toMatchObject([
      { name: "web", mtu: 1500, carriage: { vni: 42 } },
    ]);
    for (const carriage of [
      null,
      { kind: "gre" },
      { kind: "vxlan", vni: 0 },
      { kind: "vxlan", vni: 2 ** 24 },
    ]) {
      expectDamaged({ ...state, overlays: [{ ...network, carriage }] });
    }
  });

  const members: readonly (readonly [string, object])[] = [
    ["an id of another kind", { id: "x" }],
    ["no attachment", { attachments: [] }],
    ["a process that is none", { namespace: { netns: "/n", id: "1:2", pid: -1 } }],
    ["a namespace without an id", { namespace: { netns: "/n" } }],
    ["ports that are no list", { published: "80" }],
  ];
  test.for(members)("is kept aside with a member that has %s", ([, change]) => {
    expectDamaged({ ...state, members: [{ ...member, ...change }] });
  });

  test("is kept aside with two networks of one name, too many members, or another version", () => {
    expectDamaged({ ...state, networks: [network, { ...network, id: "b".repeat(64) }] });
    expectDamaged({ ...state, members: Array.from({ length: 5000 }, () => member) });
    expectDamaged({ ...state, version: 1 });
  });

  test("loses what it has of a run that is to come back, and nothing else, where that is wrong", () => {
    const namespace = { netns: "/n", id: "1:2", pid: 7, started: "9" };
    const run = { ...member, attachments: [], namespace };
    const wrong = [
      { ...run, namespace: null },
      { ...run, namespace: { ...namespace, pid: null } },
      { ...run, namespace: { ...namespace, started: null } },
      { ...run, id: "x" },
      "run",
    ];
    writeFileSync(file, JSON.stringify({ ...state, awaited: [...wrong, run] }));
    const { state: read, warning } = readState(file);
    expect(warning).toBeNull();
    expect(read.members).toHaveLength(1);
    expect(read.awaited).toMatchObject([run]);
    expectDamaged({ ...state, awaited: Array.from({ length: 5000 }, () => run) });
  });

  test("is not read into memory if too large", () => {
    writeFileSync(file, JSON.stringify(state));
    truncateSync(file, 1 << 30);
    expect(readState(file).warning).toContain("damaged");
  });
});

function expectDamaged(content: object): void {
  writeFileSync(file, JSON.stringify(content));
  const { state: read, warning } = readState(file);
  expect(read).toEqual({ networks: [], overlays: [], members: [], awaited: [] });
  expect(warning).toContain(
    "the state file was damaged, or is of another version: it was renamed to",
  );
  expect(readdirSync(directory)).not.toContain("state.json");
}
