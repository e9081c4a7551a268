import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DescriptorLedger } from "../../src/admission/descriptor-ledger.js";
import { DescriptorQuotas } from "../../src/admission/descriptors.js";
import { Address, Prefix } from "../../src/base/address.js";
import { NEVER } from "../../src/base/clock.js";
import { DropCounters } from "../../src/base/drop.js";
import type { Mac } from "../../src/base/mac.js";
import { planFor } from "../../src/config/address-plan.js";
import { PortForwards } from "../../src/publish/forwards.js";
import { Epoll } from "../../src/sys/constants.js";
import { config } from "../services/frames.ts";

const HOST = Address.ofIpv4Word(0x7f00_0001);
const PLAN = planFor(Prefix.parse("10.0.2.0/24"));

/** The guest's Ethernet address; null: it has not answered. */
let mac: Mac | null;
let forwards: PortForwards;
const onPublished = vi.fn();
const macOf = vi.fn((_: Address) => mac);

/** The id in tokens of the first port that is published. */
const FIRST = 0;

function publish(): number {
  return forwards.add({
    protocol: "udp",
    host: HOST,
    hostPort: 0,
    guest: PLAN.guest,
    guestPort: 53,
  });
}

beforeEach(() => {
  mac = null;
  const quotas = new DescriptorQuotas(DescriptorLedger.create(1_000), () => 0);
  forwards = new PortForwards({
    config: config({ plans: [PLAN] }),
    drops: new DropCounters(),
    quota: quotas.add(),
    guest: 0,
    tcp: { connect: () => true, endPublished: () => undefined },
    datagrams: { onPublished, endSessions: () => undefined },
    neighbors: { macOf },
  });
});
afterEach(() => {
  forwards.close();
  vi.clearAllMocks();
});

it("receives a UDP port's datagrams at once when the guest's Ethernet address is known", () => {
  mac = 0x0200_0000_0001;
  publish();
  forwards.onEvents(FIRST, Epoll.In, 0);
  expect(onPublished).toHaveBeenCalledTimes(1);
  expect(forwards.nextAt()).toBe(NEVER);
});

it("asks for the guest's Ethernet address where a port leads to a machine behind it", () => {
  const behind = Address.ofIpv4Word(0x0a59_0002);
  forwards.add({
    protocol: "udp",
    host: HOST,
    hostPort: 0,
    guest: behind,
    via: PLAN.guest,
    guestPort: 53,
  });
  forwards.onEvents(FIRST, Epoll.In, 0);
  expect(macOf.mock.calls.map(([address]) => `${address}`)).toEqual([`${PLAN.guest}`]);
});

it("tries a UDP port again every 250 ms until the guest's Ethernet address is known", () => {
  publish();
  forwards.onEvents(FIRST, Epoll.In, 0);
  forwards.turn(0);
  expect(forwards.nextAt()).toBe(250);
  forwards.turn(250);
  expect(forwards.nextAt()).toBe(500);
  expect(onPublished).not.toHaveBeenCalled();
  mac = 0x0200_0000_0001;
  forwards.turn(500);
  expect(onPublished).toHaveBeenCalledTimes(1);
  expect(forwards.nextAt()).toBe(NEVER);
});

it("gives a UDP port's datagrams up after 3 s without the guest's Ethernet address", () => {
  const id = publish();
  forwards.onEvents(FIRST, Epoll.In, 0);
  forwards.turn(2_999);
  expect(onPublished).not.toHaveBeenCalled();
  forwards.turn(3_000);
  expect(onPublished.mock.calls.map(([, rule, known]) => [rule.id, known])).toEqual([[id, null]]);
  expect(forwards.nextAt()).toBe(NEVER);
});

it("does not try a removed rule again", () => {
  const id = publish();
  forwards.onEvents(FIRST, Epoll.In, 0);
  forwards.turn(0);
  forwards.remove(id);
  forwards.turn(250);
  expect(macOf).toHaveBeenCalledTimes(2);
  expect(forwards.nextAt()).toBe(NEVER);
});

it("does not walk the listeners in a turn in which nobody waits", () => {
  publish();
  publish();
  const walks = [vi.spyOn(Map.prototype, "values"), vi.spyOn(Map.prototype, "forEach")];
  forwards.turn(1_000);
  const counts = walks.map(({ mock }) => mock.calls.length);
  for (const walk of walks) walk.mockRestore();
  expect(counts).toEqual([0, 0]);
});
