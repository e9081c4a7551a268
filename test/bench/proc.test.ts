import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  contextSwitches,
  cpuSeconds,
  memory,
  parseCpuTicks,
  parseField,
} from "../../bench/proc.ts";

describe("parseCpuTicks", () => {
  it("adds own and children's user and system time, whatever the program is called", () => {
    const head = "42 (a) R (b) S 1 42 42 0 -1 4194560 100 0 0 0";
    const stat = `${head} 1000 200 30 4 20 0 1 0 77 1 2 3\n`;
    expect(parseCpuTicks(stat)).toBe(1234);
  });
});

describe("parseField", () => {
  const status = "Name:\tVmRSS\nVmRSS:\t   57344 kB\nnonvoluntary_ctxt_switches:\t7\n";

  it("finds a field at the beginning of its line only", () => {
    expect(parseField(status, "VmRSS")).toBe(57344);
    expect(() => parseField(status, "voluntary_ctxt_switches")).toThrow("voluntary_ctxt_switches");
  });
});

describe("a live process", () => {
  it("uses CPU time as the kernel counts it", () => {
    const { user, system } = process.cpuUsage();
    const usedBefore = (user + system) / 1e6;
    // Whole ticks of 10 ms, and children of this process besides.
    expect(cpuSeconds(process.pid)).toBeGreaterThan(usedBefore - 0.02);
  });

  it("switches context when it waits", async () => {
    const before = contextSwitches(process.pid);
    await delay(50);
    expect(contextSwitches(process.pid)).toBeGreaterThan(before);
  });

  it("has private memory within its resident memory", () => {
    const { resident, privateDirty } = memory(process.pid);
    expect(privateDirty).toBeGreaterThan(0);
    expect(privateDirty).toBeLessThan(resident);
  });

  it("is an error once it is gone", () => {
    expect(() => cpuSeconds(0x7fffffff)).toThrow("ENOENT");
  });
});
