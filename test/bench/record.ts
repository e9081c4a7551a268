/** Makes a run's record from figures, for the tests of summaries and reports. */
import type { Cell } from "../../bench/cells.ts";
import type { Metrics } from "../../bench/metrics.ts";
import { RECORD_FORMAT, type RunRecord, type Sample } from "../../bench/record.ts";

export function cell(id: string): Cell {
  const workload = { kind: "bulk", direction: "up", streams: 1 } as const;
  return { id, title: `title of ${id}`, workload, mtu: 1500, congestion: "reno", quick: false };
}

export function measured(id: string, helper: string, metrics: Metrics, round = 1): Sample {
  return { cell: id, helper, round, outcome: { kind: "measured", metrics } };
}

/** The helpers are those of the samples, in their order, without loopback. */
export function record(samples: readonly Sample[]): RunRecord {
  const names = [...new Set(samples.map(({ helper }) => helper))];
  const helpers = names.filter((name) => name !== "loopback");
  return {
    format: RECORD_FORMAT,
    date: "2026-11-21T06:00:00.000Z",
    seconds: 90,
    rounds: 3,
    complete: true,
    durations: { bulk: 2, load: 2, idle: 10 },
    machine: {
      processor: "Z80",
      cores: 2,
      memory: 65536,
      virtual: true,
      distribution: "CP/M",
      kernel: "6.18.0-test",
      node: "v26.10.0",
      iperf3: "iperf 3.12",
      commit: null,
      congestion: "bbr",
      tcpReceiveMemory: "4096 131072 33554432",
      tcpSendMemory: "4096 16384 4194304",
      load: 0.25,
    },
    helpers: helpers.map((name) => ({ name, path: `/usr/bin/${name}`, version: `${name} 1.0` })),
    cells: [...new Set(samples.map((sample) => sample.cell))].map(cell),
    samples,
  };
}
