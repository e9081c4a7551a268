import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { clientCommand, parseIperf3 } from "../../bench/iperf3.ts";

/** Output of iperf3 3.12 on loopback, with only the host's name changed. */
function fixture(name: string): string {
  return readFileSync(join(import.meta.dirname, "fixtures", `iperf3-${name}.txt`), "utf8");
}

describe("parseIperf3", () => {
  it("takes what the receiver got", () => {
    expect(parseIperf3(fixture("up"))).toEqual({
      bytes: 2_879_651_840,
      bitsPerSecond: 22_938_989_964.97,
    });
  });

  it("adds both directions of a bidirectional transfer", () => {
    expect(parseIperf3(fixture("bidir"))).toEqual({
      bytes: 2_427_453_440 + 646_971_392,
      bitsPerSecond: 19_403_289_949.862217 + 5_171_416_803.05183,
    });
  });

  it("fails with iperf3's own words", () => {
    expect(() => parseIperf3(fixture("refused"))).toThrow(
      "iperf3: unable to connect to server: Connection refused",
    );
  });

  it("does not take a report without totals for nothing transferred", () => {
    expect(() => parseIperf3('{"end": {}}')).toThrow("no totals");
  });
});

describe("clientCommand", () => {
  it("turns Nagle off for writes of a given size", () => {
    const transfer = { seconds: 2, direction: "down", streams: 4 } as const;
    expect(clientCommand("10.0.2.2", 5201, transfer)).not.toContain("--no-delay");
    const small = clientCommand("10.0.2.2", 5201, { ...transfer, writeSize: 1000 });
    expect(small.join(" ")).toContain("--parallel 4 --reverse --length 1000 --no-delay");
  });
});
