/** The command line of the bench: raw options turned into checked ones, once. */
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";

export interface Options {
  /** Only the cells that measure Slipway in the role of pasta. */
  readonly pasta: boolean;
  readonly quick: boolean;
  readonly rounds: number;
  /** Ids and patterns; null for all cells of a full or quick run. */
  readonly cells: readonly string[] | null;
  /** Names; null for all that are installed. */
  readonly helpers: readonly string[] | null;
  /** Paths of further peers by name. */
  readonly peers: ReadonlyMap<string, string>;
  readonly json: string | null;
  readonly from: string | null;
  readonly docs: boolean;
  readonly list: boolean;
}

interface RawOptions {
  readonly pasta: boolean;
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

/** Ends the process with a message if the options are wrong or include --help. */
export function parseOptions(argv: readonly string[]): Options {
  const command = new Command("npm run bench --")
    .description("Slipway, slirp4netns, pasta and plain loopback, side by side")
    .option("--quick", "measure a few cells briefly: under 2 minutes instead of under 20", false)
    .option("--pasta", "measure Slipway in the role of pasta, beside the real one", false)
    .option("--rounds <n>", "alternating rounds", parseRounds, 3)
    .option("--cells <ids>", "cells to measure, comma-separated, * allowed", parseWords)
    .option("--helpers <names>", "helpers to measure, comma-separated", parseWords)
    .option("--peer <name=path>", "add a peer: a pasta, or a slirp4netns", parsePeer)
    .option("--json <file>", "write all measurements to a file")
    .option("--from <file>", "report on such a file; measure nothing")
    .option("--docs", "write docs/performance.md and its plots", false)
    .option("--list", "list the cells and exit", false)
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
  throw new InvalidArgumentError("It must be a whole number of at least 1.");
}

function parseWords(text: string): string[] {
  return text.split(",").filter(Boolean);
}

/** Commander passes the result of earlier occurrences of the option. */
function parsePeer(text: string, earlier: Map<string, string> = new Map()): Map<string, string> {
  const [, name, path] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || path === undefined) {
    throw new InvalidArgumentError("It must be NAME=PATH.");
  }
  return earlier.set(name, resolve(path));
}
