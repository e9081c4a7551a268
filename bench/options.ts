/** The command line of the bench: raw options turned into checked ones, once. */
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";

export interface Options {
  readonly quick: boolean;
  readonly rounds: number;
  /** Ids and patterns; null for all that the extent of the run has. */
  readonly cells: readonly string[] | null;
  /** Names; null for all that are there. */
  readonly helpers: readonly string[] | null;
  /** Paths of further peers by name. */
  readonly peers: ReadonlyMap<string, string>;
  readonly json: string | null;
  readonly from: string | null;
  readonly docs: boolean;
  readonly list: boolean;
}

interface RawOptions {
  readonly quick: boolean;
  readonly rounds: number;
  readonly cells?: string[];
  readonly helpers?: string[];
  readonly peer?: Map<string, string>;
  readonly json?: string;
  readonly from?: string;
  readonly docs: boolean;
  readonly list: boolean;
}

/** Ends the process, with a message, when the options are wrong or --help is among them. */
export function parseOptions(argv: readonly string[]): Options {
  const command = new Command("npm run bench --")
    .description("Slipway, slirp4netns, pasta and plain loopback, side by side")
    .option("--quick", "a few cells, briefly: under 2 minutes instead of under 20", false)
    .option("--rounds <n>", "alternating rounds", parseRounds, 3)
    .option("--cells <ids>", "cells to measure, comma-separated, * allowed", parseWords)
    .option("--helpers <names>", "helpers to measure, comma-separated", parseWords)
    .option("--peer <name=path>", "one more peer: a pasta, or of slirp4netns's kind", parsePeer)
    .option("--json <file>", "write everything that was measured")
    .option("--from <file>", "report on such a file instead of measuring")
    .option("--docs", "write docs/performance.md and its plots", false)
    .option("--list", "list the cells and end", false)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse(argv);
  const { cells, helpers, peer, json, from, ...rest } = command.opts<RawOptions>();
  return {
    ...rest,
    cells: cells ?? null,
    helpers: helpers ?? null,
    peers: peer ?? new Map(),
    json: json ?? null,
    from: from ?? null,
  };
}

function parseRounds(text: string): number {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds >= 1) return rounds;
  throw new InvalidArgumentError("A whole number of at least 1 is wanted.");
}

function parseWords(text: string): string[] {
  return text.split(",").filter(Boolean);
}

/** Commander passes what earlier occurrences of the option gave. */
function parsePeer(text: string, earlier: Map<string, string> = new Map()): Map<string, string> {
  const [, name, path] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || path === undefined) {
    throw new InvalidArgumentError("NAME=PATH is wanted.");
  }
  return earlier.set(name, resolve(path));
}
