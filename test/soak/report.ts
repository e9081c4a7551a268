/** docs/soak.json, docs/images/soak.svg and the generated part of docs/reliability.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lineChart } from "../../bench/report/lines.ts";
import { root } from "../lab/product.ts";
import type { Sample } from "./figures.ts";
import type { Totals } from "./load.ts";

const BEGIN = "<!-- soak:begin, written by npm run soak -- --docs -->";
const END = "<!-- soak:end -->";
const MEBI = 1024 * 1024;

export interface Soak {
  readonly date: string;
  readonly machine: string;
  readonly minutes: number;
  readonly totals: Totals;
  readonly samples: readonly Sample[];
}

export function sentence(sample: Sample): string {
  const { at, descriptors, mappings, privateKiB, stackMemory, wakeupsPerSecond } = sample;
  return [
    `${at.toFixed(0).padStart(5)} s, at rest: ${descriptors} descriptors (${mappings} of mappings)`,
    `${(privateKiB / 1024).toFixed(1)} MiB private, ${(stackMemory / MEBI).toFixed(2)} MiB in the stack`,
    `${wakeupsPerSecond} wake-ups/s, ${(sample.bytes / MEBI).toFixed(0)} MiB so far`,
  ].join("; ");
}

export function writeDocs(soak: Soak): void {
  writeFileSync(join(root, "docs/soak.json"), `${JSON.stringify(soak, null, 2)}\n`);
  writeFileSync(join(root, "docs/images/soak.svg"), plot(soak));
  const file = join(root, "docs/reliability.md");
  const text = readFileSync(file, "utf8");
  const [head, rest] = [text.slice(0, text.indexOf(BEGIN)), text.slice(text.indexOf(END))];
  writeFileSync(file, `${head}${BEGIN}\n\n${summary(soak)}\n${rest}`);
}

function plot({ minutes, machine, samples }: Soak): string {
  const minute = ({ at }: Sample) => at / 60;
  const line = (name: string, of: (sample: Sample) => number, only = samples) => ({
    name,
    points: only.map((sample): [number, number] => [minute(sample), of(sample)]),
  });
  const resting = samples.filter((sample) => sample.resting);
  return lineChart({
    title: `${minutes} minutes of mixed load`,
    subtitle: `One guest; every half minute a rest. ${machine}`,
    horizontal: "minutes",
    panels: [
      {
        label: "memory, MiB",
        lines: [
          line("private, of the process", (it) => it.privateKiB / 1024),
          line("in use in the stack", (it) => it.stackMemory / MEBI),
        ],
      },
      {
        label: "descriptors",
        lines: [
          line("open", (it) => it.descriptors),
          line("of UDP mappings, which last 3 minutes", (it) => it.mappings),
        ],
      },
      { label: "TCP connections", lines: [line("in the stack", (it) => it.flows)] },
      {
        label: "wake-ups per second, at rest",
        lines: [line("wake-ups", (it) => it.wakeupsPerSecond ?? 0, resting)],
      },
    ],
  });
}

function summary({ date, machine, minutes, totals, samples }: Soak): string {
  const resting = samples.filter((sample) => sample.resting);
  const [first, last] = [resting[0], resting.at(-1)];
  const row = (name: string, of: (sample: Sample) => string | number) =>
    `| ${name} | ${first && of(first)} | ${last && of(last)} |`;
  return [
    `${date.slice(0, 10)}, ${minutes} minutes, ${machine}: ${(totals.bytes / 2 ** 30).toFixed(1)} GiB by`,
    `TCP in ${totals.connections} connections, ${totals.requests} requests, ${totals.datagrams} datagrams`,
    `(${totals.datagramsLost} lost), ${totals.queries} DNS queries, ${totals.forwards} ports published and`,
    "withdrawn; every byte was checked.",
    "",
    "| at rest | after the first half minute | at the end |",
    "|---|---|---|",
    row("open descriptors, except UDP mappings", (it) => it.descriptors - it.mappings),
    row("private memory of the process, MiB", (it) => (it.privateKiB / 1024).toFixed(1)),
    row("memory in use in the stack, MiB", (it) => (it.stackMemory / MEBI).toFixed(2)),
    row("TCP connections", (it) => it.flows),
    row("wake-ups per second", (it) => it.wakeupsPerSecond ?? "–"),
    "",
    "![Memory, descriptors, connections and wake-ups over the time of the soak](images/soak.svg)",
    "",
  ].join("\n");
}
