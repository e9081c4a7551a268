import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { checkParams, isMethod, type Method, methods } from "../../src/rpc/messages.js";

/** Parameters that are accepted, with every field. */
const namespace = { netns: "/proc/7/ns/net", userns: null, id: "4:1", pid: 7, started: "9" };
const RIGHT: Readonly<Record<Method, object>> = {
  status: {},
  stop: {},
  "network.create": {
    ...{
      name: "web",
      driver: "bridge",
      subnets: ["10.89.7.0/24"],
      gateways: ["10.89.7.1"],
      ranges: [],
    },
    ...{ ipv4: true, ipv6: false, internal: false, mtu: 1500, labels: { a: "b" }, options: {} },
  },
  "network.list": {},
  "network.inspect": { name: "web" },
  "network.remove": { name: "web" },
  "network.prune": {},
  "host.list": {},
  "peer.add": {
    ...{ network: "web", name: "box", addresses: ["10.89.7.9"], mac: "02:00:00:00:00:09" },
    vtep: "192.0.2.9:4789",
  },
  "peer.list": { network: "web" },
  "peer.remove": { network: "web", name: "box" },
  "member.list": {},
  "member.join": {
    ...{ id: "0".repeat(64), name: "db", hostname: "db", namespace, stays: false },
    attachments: [
      {
        network: "web",
        addresses: ["10.89.7.5"],
        mac: "02:00:00:00:00:01",
        aliases: [],
        ifname: "eth0",
      },
    ],
    ...{ hosts: [], dns: [], hostLoopback: false, labels: {}, keepsTaps: true },
  },
  "member.attach": { member: "db", network: "web", ifname: "eth0", namespace },
  "member.publish": { member: "db", ports: ["8080:80"], auto: { exclude: "22" } },
  "member.api": { member: "db", network: "web" },
  "member.disconnect": { network: "web", member: "db" },
  "member.locate": { name: "db", process: 7, waits: true },
  "member.started": { member: "db", namespace },
  "member.confirm": { serial: 1 },
};

/** Wrong for one field or another. */
const WRONG: readonly unknown[] = [
  ...[undefined, null, 0, -1, 0.5, 1e300, "", "x", "x".repeat(5000), true, [], {}],
  ...[[0], [null], Array.from({ length: 5000 }, () => "x"), { a: 1 }, [[]]],
];

/** Every value with one of its parts replaced, and the dotted path of that part. */
function* withWrong(value: unknown, path = ""): Generator<[path: string, changed: unknown]> {
  for (const wrong of WRONG) yield [path, wrong];
  if (typeof value !== "object" || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    const here = Array.isArray(value) ? `${path}[${key}]` : [path, key].filter(Boolean).join(".");
    for (const [where, changed] of withWrong(part, here)) {
      const copy = structuredClone(value) as Record<string, unknown>;
      copy[key] = changed;
      yield [where, copy];
    }
  }
}

const JARGON = /Expected|Invalid|[Rr]eceived|undefined|null|NaN|\bobject Object\b/;

describe("a wrong value of any field of any method is told by the field's name, and what is allowed", () => {
  test.each(Object.keys(methods).filter(isMethod))("%s", (method) => {
    expect(checkParams(method, RIGHT[method])).toEqual(v.parse(methods[method], RIGHT[method]));
    for (const [path, params] of withWrong(RIGHT[method])) {
      const checked = checkParams(method, params);
      if (typeof checked !== "string") continue;
      expect(checked).not.toMatch(JARGON);
      expect(checked).toMatch(/^[\w.[\]]+ (must (be|have) .+|is missing)$/);
      expect(checked.startsWith(path === "" ? "" : path), `${path}: ${checked}`).toBe(true);
    }
  });
});

test.each<[Method, object, string]>([
  ["network.create", {}, "name is missing"],
  ["network.create", { name: 5 }, "name must be text"],
  ["network.create", { name: "x".repeat(4097) }, "name must have at most 4096 characters"],
  ["network.create", { name: "x", mtu: 0 }, "mtu must be a whole number from 68 to 65521"],
  ["network.create", { name: "x", mtu: "1500" }, "mtu must be a whole number from 68 to 65521"],
  ["network.create", { name: "x", ipv6: "yes" }, "ipv6 must be true or false"],
  ["network.create", { name: "x", subnets: "10.89.7.0/24" }, "subnets must be a list"],
  ["network.create", { name: "x", labels: { a: 1 } }, "labels.a must be text"],
  ["member.locate", { process: 0 }, "process must be a whole number from 1 to 4194304"],
  ["member.join", { attachments: [{}] }, "attachments[0].network is missing"],
  ["member.join", { id: "x", attachments: [{ network: "x" }] }, "id must be 64 hexadecimal digits"],
])("%s %j: %s", (method, params, sentence) => {
  expect(checkParams(method, params)).toBe(sentence);
});
