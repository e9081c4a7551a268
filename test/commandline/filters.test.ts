import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../../src/commandline/command-line.ts";
import { momentOf } from "../../src/commandline/filters.ts";

const parse = (line: string) => parseCommandLine("slipway", line.split(" "));

describe("a filter that is wrong in itself is a usage error", () => {
  test.each([
    ["network ls -f colour=red", "there are dangling, driver, id, label, name, scope, type, until"],
    ["network ls -f label", "write it like label=team"],
    ["network ls -f dangling=maybe", "write true or false"],
    ["network ls -f type=own", "write builtin or custom"],
    ["network ls -f name!=web", "!= is for label only"],
    ["network ls -f name=(", "write a name, a part of one, or a regular expression"],
    ["network prune --filter name=web", "there are label, until"],
    ["network prune --filter until=yesterday", "write it like 24h or 2026-11-30T12:00:00Z"],
    ["ps -f status=exited", "members are all running"],
    ["ps -f ancestor=nginx", "there are id, label, name, network, status"],
  ])("%s", (line, sentence) => {
    expect(() => parse(line)).toThrow(
      expect.objectContaining({ exitStatus: 2, message: expect.stringContaining(sentence) }),
    );
  });
});

test.each([
  ["24h", 1_000_000_000 - 24 * 3_600_000],
  ["1h30m", 1_000_000_000 - 5_400_000],
  ["10s", 1_000_000_000 - 10_000],
  ["500ms", 1_000_000_000 - 500],
  ["1700000000", 1_700_000_000_000],
  ["2026-11-30", Date.parse("2026-11-30")],
  ["2026-11-30T12:00:00Z", Date.parse("2026-11-30T12:00:00Z")],
  ["2026-13-99", null],
  ["yesterday", null],
])("until=%s is a moment", (text, moment) => {
  expect(momentOf(text, 1_000_000_000)).toBe(moment);
});

describe("what docker has and means nothing here says why", () => {
  test.each([
    ["network create --attachable web", "every network can be joined at any time"],
    ["network create --scope=local web", "there is no swarm"],
    ["network create --ingress web", "there is no swarm"],
    ["network create --config-only web", "give the options to each"],
    ["network create --ipam-driver default web", "--subnet, --gateway and --ip-range"],
    ["network create --ipam-opt a=b web", "--subnet, --gateway and --ip-range"],
    ["network create --aux-address a=10.0.0.9 web", "--ip-range"],
    ["ps -s", "members have the files of this machine"],
    ["inspect --size app", "members have the files of this machine"],
  ])("%s", (line, sentence) => {
    expect(() => parse(line)).toThrow(
      expect.objectContaining({
        exitStatus: 2,
        message: expect.stringMatching(/^-[\w-]+ has no meaning for slipway /),
      }),
    );
    expect(() => parse(line)).toThrow(sentence);
  });
});

describe("what docker has and is so anyway is taken", () => {
  test.each([
    ["ps -a --no-trunc", { action: "members", noTrunc: true }],
    ["ps -aq", { action: "members", quiet: true }],
    ["ps -ql", { action: "members", quiet: true, last: 1 }],
    ["ps -n 3", { action: "members", last: 3 }],
    ["network inspect -v web", { action: "inspect", type: "network" }],
    ["inspect --type container app", { action: "inspect", type: "member" }],
    ["inspect app web", { action: "inspect", type: "any", names: ["app", "web"] }],
    ["network list -q", { action: "list", quiet: true }],
    ["network remove web", { action: "remove", names: ["web"] }],
    ["network prune -f", { action: "prune", filters: [] }],
    ["network rm -f web", { action: "remove", force: true }],
    ["network create -d bridge web", { action: "create" }],
  ])("%s", (line, request) => {
    expect(parse(line)).toMatchObject({ request });
  });
});
