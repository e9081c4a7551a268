import { describe, expect, it } from "vitest";
import { LeasePool } from "../../src/services/leases.js";
import { address } from "../base/addresses.js";

const HOUR = 3600;

describe.each([
  ["IPv4", "192.0.2.15"],
  ["IPv6", "fd00::f"],
])("leases of %s addresses", (_, text) => {
  const first = address(text);
  const [second, third] = [first.plus(1), first.plus(2)];

  function pool(): LeasePool {
    return new LeasePool(first, third, HOUR);
  }

  it("are one per client, the same each time", () => {
    const leases = pool();
    expect(leases.offer("a", null, 0)).toEqual(first);
    expect(leases.offer("b", null, 0)).toEqual(second);
    expect(leases.offer("a", third, 1)).toEqual(first);
    expect(leases.bind("a", first, 2)).toBe(true);
    expect(leases.offer("a", null, 10 * HOUR * 1000)).toEqual(first);
  });

  it("have the requested address, if it is free", () => {
    const leases = pool();
    expect(leases.offer("a", third, 0)).toEqual(third);
    expect(leases.offer("b", third, 0)).toEqual(first);
    expect(leases.offer("c", first.plus(50), 0)).toEqual(second);
  });

  it("are refused when all are taken, until one expires", () => {
    const leases = pool();
    for (const client of ["a", "b", "c"]) leases.offer(client, null, 0);
    expect(leases.offer("d", null, 59_999)).toBeNull();
    expect(leases.bind("b", second, 1000)).toBe(true);
    expect(leases.offer("d", null, 60_000)).toEqual(first);
    expect(leases.offer("e", null, 60_000)).toEqual(third);
    expect(leases.offer("f", null, 60_000)).toBeNull();
    expect(leases.offer("f", null, 1000 + HOUR * 1000)).not.toBeNull();
  });

  it("are bound to no other address, and no other client", () => {
    const leases = pool();
    expect(leases.bind("a", first, 0)).toBe(true);
    expect(leases.bind("b", first, 1)).toBe(false);
    expect(leases.bind("b", first.plus(50), 1)).toBe(false);
    expect(leases.bind("a", second, 2)).toBe(true);
    expect(leases.bind("b", first, 3)).toBe(true);
  });

  it("are free once released, and remembered", () => {
    const leases = pool();
    leases.bind("a", first, 0);
    leases.release("b", first, 1);
    expect(leases.bind("b", first, 1)).toBe(false);
    leases.release("a", first, 2);
    expect(leases.offer("b", null, 3)).toEqual(second);
    expect(leases.offer("a", null, 3)).toEqual(first);
    leases.release("a", first, 60_003);
    expect(leases.bind("b", first, 60_004)).toBe(true);
  });

  it("stay blocked for an hour if another host uses the address", () => {
    const leases = pool();
    leases.bind("a", first, 0);
    leases.decline("b", first, 1);
    leases.decline("a", first, 1);
    expect(leases.offer("a", first, 2)).toEqual(second);
    expect(leases.bind("a", first, 3_600_000)).toBe(false);
    expect(leases.bind("a", first, 3_600_001)).toBe(true);
  });

  it("of a single address are for whoever asks, unless another host uses it", () => {
    const leases = new LeasePool(first, first, HOUR);
    for (const client of ["boot loader", "system"]) {
      expect(leases.offer(client, null, 0)).toEqual(first);
      expect(leases.bind(client, first, 1)).toBe(true);
    }
    leases.decline("system", first, 2);
    expect(leases.offer("system", first, 3)).toBeNull();
    expect(leases.bind("boot loader", first, 3_600_001)).toBe(false);
    expect(leases.offer("boot loader", null, 3_600_002)).toEqual(first);
  });
});
