/** The result of a run, from which all reports are made, as JSON. */
import { readFileSync } from "node:fs";
import type { Cell } from "./cells.ts";
import type { Durations } from "./durations.ts";
import type { Machine } from "./machine.ts";
import type { Metrics } from "./metrics.ts";

/** Incremented when older records can no longer be read. */
export const RECORD_FORMAT = 1;

export type Outcome =
  | { readonly kind: "measured"; readonly metrics: Metrics }
  /** The helper lacks what the cell needs. */
  | { readonly kind: "unavailable"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

export interface Sample {
  readonly cell: string;
  /** A helper's name, or LOOPBACK. */
  readonly helper: string;
  readonly round: number;
  readonly outcome: Outcome;
}

export interface HelperRecord {
  readonly name: string;
  readonly path: string;
  readonly version: string;
}

export interface RunRecord {
  readonly format: typeof RECORD_FORMAT;
  /** ISO 8601, when the run began. */
  readonly date: string;
  readonly seconds: number;
  /** Rounds requested; a run that met its time limit has fewer samples. */
  readonly rounds: number;
  readonly complete: boolean;
  readonly durations: Durations;
  readonly machine: Machine;
  readonly helpers: readonly HelperRecord[];
  readonly cells: readonly Cell[];
  readonly samples: readonly Sample[];
}

/** @throws RangeError if the file is not a record of this format. */
export function readRecord(path: string): RunRecord {
  const record = JSON.parse(readFileSync(path, "utf8")) as RunRecord;
  if (record.format === RECORD_FORMAT) return record;
  throw new RangeError(`${path} is not a record of format ${RECORD_FORMAT} of this bench`);
}
