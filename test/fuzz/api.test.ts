import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { answer, parseRequest } from "../../src/api/requests.js";
import type { Subject } from "../../src/api/subject.js";
import { log } from "../../src/base/log.js";
import { Loop } from "../../src/loop/loop.js";
import { openTap } from "../../src/netns/tap.js";
import { config } from "../services/frames.js";
import { TestNamespace } from "../wire/netns.js";
import { forAWhile, TIMEOUT } from "./time.js";

let namespace: TestNamespace;
let loop: Loop;
let subject: Subject;
const figures = { clients: 0, requests: 0, dropped: 0 };

beforeAll(async () => {
  namespace = await TestNamespace.open();
  const netns = `/proc/${namespace.pid}/ns/net`;
  const settings = { plans: config().plans, mtu: 1500, txqueuelen: 1000 };
  const tap = openTap({ netns, userns: null }, "tap0", settings);
  loop = new Loop();
  const guest = loop.addGuest(tap, config(), () => {});
  subject = { guest, tap: "tap0", pid: null, mayPublish: true, log };
});
afterAll(() => {
  loop.stop();
  namespace.close();
});

/** Documentation addresses, which this host does not have: none of its ports is opened. */
const host = fc.oneof(fc.constantFrom("192.0.2.1", "2001:db8::1", "", "0x7f.1"), fc.anything());
const port = fc.oneof(fc.integer({ min: -1, max: 65_537 }), fc.anything());
const arguments_ = fc.record(
  {
    proto: fc.oneof(fc.constantFrom("tcp", "udp"), fc.anything()),
    host_addr: host.filter((it) => it !== "" && it !== undefined),
    host_port: port,
    guest_addr: fc.oneof(fc.constantFrom("", "10.0.2.100", "fd00::64"), fc.anything()),
    guest_port: port,
    id: fc.oneof(fc.integer(), fc.anything()),
    count: fc.oneof(fc.integer({ min: -1, max: 70_000 }), fc.anything()),
    kill: fc.oneof(fc.boolean(), fc.anything()),
    level: fc.constantFrom("error", "loud", null),
  },
  { requiredKeys: ["host_addr"] },
);
const command = fc.constantFrom(
  ...["add_hostfwd", "list_hostfwd", "remove_hostfwd", "list_flows", "query_status"],
  ...["set_log_level", "__proto__", "toString", ""],
);
const request = fc.oneof(
  { weight: 5, arbitrary: fc.record({ execute: command, arguments: arguments_ }) },
  fc.record({ execute: fc.anything(), arguments: fc.anything() }),
  fc.anything(),
);

test("any request gets one JSON object as its answer, and nothing is thrown", {
  timeout: TIMEOUT,
}, () => {
  const property = fc.property(request, (asked) => {
    const given: unknown = JSON.parse(JSON.stringify(asked) ?? "null");
    const parts = [...answer(subject, figures, parseRequest(JSON.stringify(given), true))];
    const answered: unknown = JSON.parse(parts.join(""));
    expect(answered).toBeTypeOf("object");
    expect(Object.keys(answered ?? {}).filter((key) => key !== "entries")).toHaveLength(1);
  });
  fc.assert(property, forAWhile);
});

test("any text is JSON, or is refused as invalid", { timeout: TIMEOUT }, () => {
  const json = fc.json().chain((text) => fc.nat(text.length).map((at) => text.slice(0, at)));
  const property = fc.property(fc.oneof(fc.string(), json), fc.boolean(), (text, isEnded) => {
    const parsed = parseRequest(text, isEnded);
    const whole = answer(subject, figures, parsed);
    expect(() => JSON.parse([...whole].join(""))).not.toThrow();
  });
  fc.assert(property, forAWhile);
});
