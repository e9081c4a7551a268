import { describe, expect, test } from "vitest";
import type { HostReport, PeerReport } from "../../src/rpc/reports.js";
import { network, say } from "./reports.ts";

const self: HostReport = {
  id: "1".repeat(64),
  name: "alpha",
  addresses: ["192.0.2.1", "2001:db8::1"],
  state: "connected",
  isSelf: true,
  members: 2,
  publicKey: "c2VjcmV0IHB1YmxpYyBrZXkgb2YgMzIgYnl0ZXMhISE=",
  version: "0.1.0",
};
const other: HostReport = {
  ...self,
  id: "2".repeat(64),
  name: "beta",
  addresses: ["192.0.2.2"],
  state: "unknown",
  isSelf: false,
  members: null,
};
const laptop: PeerReport = {
  id: "3".repeat(64),
  name: "laptop",
  kind: "wireguard",
  addresses: ["10.100.0.9"],
  mac: "02:42:0a:64:00:09",
  via: "alpha",
};

describe("host ls", () => {
  const hosts = { hosts: [self, other] };

  test("is a table", async () => {
    expect(await say(["host", "ls"], hosts)).toBe(
      [
        "HOST ID          NAME    ADDRESS                  STATE       MEMBERS   VERSION",
        "111111111111 *   alpha   192.0.2.1, 2001:db8::1   connected   2         0.1.0",
        "222222222222     beta    192.0.2.2                unknown               0.1.0",
        "",
      ].join("\n"),
    );
  });

  test("is ids, JSON or by a template", async () => {
    expect(await say(["host", "ls", "-q"], hosts)).toBe("111111111111\n222222222222\n");
    expect(JSON.parse(await say(["host", "ls", "--json"], hosts))).toEqual([self, other]);
    const format = "table {{.ID}}\t{{.Name}}\t{{.State}}\t{{.Members}}";
    expect(await say(["host", "ls", "--format", format], hosts)).toMatch(
      /^HOST ID +NAME +STATE +MEMBERS\n1{12} +alpha +connected +2\n2{12} +beta +unknown *\n$/,
    );
  });
});

describe("network peer", () => {
  const peers = { peers: [laptop] };

  test("ls", async () => {
    expect(await say(["network", "peer", "ls", "ov1"], peers)).toMatch(
      /^PEER ID +NAME +KIND +ADDRESSES +MAC +VIA\n3{12} +laptop +wireguard +10.100.0.9 +02:\S+ +alpha\n$/,
    );
    expect(await say(["network", "peer", "ls", "ov1", "-q", "--no-trunc"], peers)).toBe(
      `${laptop.id}\n`,
    );
    expect(JSON.parse(await say(["network", "peer", "ls", "ov1", "--json"], peers))).toEqual([
      laptop,
    ]);
  });

  test("add prints the file of a WireGuard client, or the id of a VTEP", async () => {
    const asked: unknown[] = [];
    expect(
      await say(["network", "peer", "add", "ov1", "laptop", "--wireguard"], peers, asked),
    ).toBe("[Interface]\n");
    const vtep = ["--vtep", "192.0.2.9", "--ip", "10.101.9.2", "--mac", "02:00:00:00:09:02"];
    expect(await say(["network", "peer", "add", "ov2", "box", ...vtep], peers, asked)).toBe(
      `${laptop.id}\n`,
    );
    expect(asked).toEqual([
      { network: "ov1", name: "laptop", addresses: [], mac: null, vtep: null },
      {
        network: "ov2",
        name: "box",
        addresses: ["10.101.9.2"],
        mac: "02:00:00:00:09:02",
        vtep: "192.0.2.9",
      },
    ]);
  });

  test("rm removes each", async () => {
    const asked: unknown[] = [];
    expect(await say(["network", "peer", "rm", "ov1", "a", "b"], peers, asked)).toBe("a\nb\n");
    expect(asked).toEqual([
      { network: "ov1", name: "a" },
      { network: "ov1", name: "b" },
    ]);
  });
});

describe("networks of several hosts", () => {
  const overlay = {
    ...network,
    Name: "ov1",
    Scope: "global",
    Driver: "overlay",
    Peers: [{ Name: "alpha", IP: "192.0.2.1" }],
  } as const;
  const networks = { networks: [network, overlay] };

  test.each([
    ["driver=overlay", "ov1\n"],
    ["scope=global", "ov1\n"],
    ["scope=local", "web\n"],
    ["driver=flannel", ""],
  ])("network ls --filter %s", async (filter, names) => {
    const args = ["network", "ls", "--filter", filter, "--format", "{{.Name}}"];
    expect(await say(args, networks)).toBe(names);
  });

  test("network ls shows driver and scope", async () => {
    expect(await say(["network", "ls"], networks)).toMatch(/ ov1 +overlay +global /);
  });

  test("network inspect shows the peers, and none of other networks", async () => {
    const peers = "{{range .Peers}}{{.Name}}={{.IP}} {{end}}";
    expect(await say(["network", "inspect", "ov1", "-f", peers], networks)).toBe(
      "alpha=192.0.2.1 \n",
    );
    expect(await say(["network", "inspect", "web", "-f", "{{len .Peers}}"], networks)).toBe("0\n");
    const [plain] = JSON.parse(await say(["network", "inspect", "web"], networks));
    expect(plain).not.toHaveProperty("Peers");
  });
});
