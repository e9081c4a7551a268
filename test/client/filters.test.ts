import { describe, expect, test } from "vitest";
import { member, network, say } from "./reports.ts";

const bridge = { ...network, Name: "bridge", Id: "2".repeat(64), Containers: {}, Labels: {} };
const none = { ...bridge, Name: "none", Id: "3".repeat(64), Driver: "null" } as const;
const empty = { ...bridge, Name: "empty", Id: "4".repeat(64), Labels: { team: "red" } };
const networks = [network, empty, none, bridge];

describe("network ls --filter", () => {
  test.each([
    [[], "bridge empty none web"],
    [["type=builtin"], "bridge none"],
    [["type=custom"], "empty web"],
    [["dangling=true"], "empty"],
    [["dangling=false"], "bridge none web"],
    [["driver=null", "driver=bridge"], "bridge empty none web"],
    [["driver=null", "type=custom"], ""],
    [["label=team"], "empty web"],
    [["label=team=blue"], "web"],
    [["label=team", "label=com.example.tier"], "web"],
    [["label!=team", "type=custom"], ""],
    [["label=constructor"], ""],
    [["name=e"], "bridge empty none web"],
    [["name=^e"], "empty"],
    [["name=^/web$"], "web"],
    [["id=4444"], "empty"],
    [["scope=local", "scope=swarm"], "bridge empty none web"],
    [["scope=swarm"], ""],
    [["until=1s"], "bridge empty none web"],
    [["until=2000-01-01"], ""],
  ])("%j", async (filters, names) => {
    const args = filters.flatMap((each) => ["--filter", each]);
    const text = await say(["network", "ls", "--format", "{{.Name}}", ...args], { networks });
    expect(text.split("\n").join(" ").trim()).toBe(names);
  });
});

describe("ps --filter", () => {
  const other = { ...member, id: "c".repeat(64), name: "db", labels: {}, networks: [] };

  test.each([
    [["name=app"], "app"],
    [["label=team=blue"], "app"],
    [["label!=team"], "db"],
    [["network=web"], "app"],
    [["network=1111"], "app"],
    [["id=ccc"], "db"],
    [["status=running"], "app db"],
  ])("%j", async (filters, names) => {
    const args = filters.flatMap((each) => ["-f", each]);
    const text = await say(["ps", "--format", "{{.Names}}", ...args], { members: [member, other] });
    expect(text.split("\n").join(" ").trim()).toBe(names);
  });

  test("-n shows the newest first", async () => {
    const members = [member, other];
    expect(await say(["ps", "-n", "5", "--format", "{{.Names}}"], { members })).toBe("db\napp\n");
    expect(await say(["ps", "-l", "--format", "{{.Names}}"], { members })).toBe("db\n");
    expect(await say(["ps", "-n", "0", "-q"], { members })).toBe("");
  });
});

test("network prune asks for all that are unused, or for those that pass", async () => {
  const asked: unknown[] = [];
  await say(["network", "prune", "-f"], { networks }, asked);
  await say(["network", "prune", "--filter", "label=team=red"], { networks }, asked);
  expect(asked).toEqual([{ only: null }, { only: [empty.Id] }]);
});

test("network rm -f asks only for those that exist", async () => {
  const asked: unknown[] = [];
  expect(await say(["network", "rm", "-f", "nosuch", "web"], { networks }, asked)).toBe("web\n");
  expect(asked).toEqual([{ name: "web" }]);
});
