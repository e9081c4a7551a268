import { quoted } from "../base/printable.js";
import type { Reader } from "./parsing/option.js";
import { wrong } from "./parsing/values.js";

/** One `--filter`, such as label=team. */
export interface Filter<Key extends string = string> {
  readonly key: Key;
  /** Whether it is written with `!=`. */
  readonly isNegated: boolean;
  readonly value: string;
}

/** Those of `network ls`, `network prune` and `ps` have these keys. */
export const NETWORK_KEYS = [
  "dangling",
  "driver",
  "id",
  "label",
  "name",
  "scope",
  "type",
  "until",
] as const;
export const PRUNE_KEYS = ["label", "until"] as const;
export const MEMBER_KEYS = ["id", "label", "name", "network", "status"] as const;

export type NetworkFilter = Filter<(typeof NETWORK_KEYS)[number]>;
export type PruneFilter = Filter<(typeof PRUNE_KEYS)[number]>;
export type MemberFilter = Filter<(typeof MEMBER_KEYS)[number]>;

/** What values of some keys may be. Returns how to write one that is wrong, or null. */
const CHECKS: Readonly<Record<string, (value: string) => string | null>> = {
  dangling: (value) => (["true", "false"].includes(value) ? null : "write true or false"),
  name: (value) =>
    isPattern(value) ? null : "write a name, a part of one, or a regular expression",
  status: (value) => (value === "running" ? null : "members are all running"),
  type: (value) => (["builtin", "custom"].includes(value) ? null : "write builtin or custom"),
  until: (value) =>
    momentOf(value, 0) === null ? "write it like 24h or 2026-11-30T12:00:00Z" : null,
};

/** @param keys that the command knows */
export function filter<Key extends string>(keys: readonly Key[]): Reader<Filter<Key>> {
  return (text, name) => {
    const [, word = "", not = "", value = ""] = /^([a-z]+)(!?)=(.*)$/s.exec(text) ?? [];
    const key = keys.find((each) => each === word);
    if (key === undefined || value === "") {
      throw wrong(
        `${name} ${quoted(text)}: write it like label=team; there are ${keys.join(", ")}`,
      );
    }
    if (not !== "" && key !== "label") {
      throw wrong(`${name} ${quoted(text)}: != is for label only`);
    }
    const fix = CHECKS[key]?.(value) ?? null;
    if (fix !== null) throw wrong(`${name} ${quoted(text)}: ${fix}`);
    return { key, isNegated: not !== "", value };
  };
}

function isPattern(text: string): boolean {
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
}

/** Seconds of Go's units of time, such as in 1h30m. */
const SECONDS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 0.001 };

/**
 * The time that a filter names: a date, seconds since 1970, or how long ago.
 * @param now in ms since 1970
 * @returns in ms since 1970; null when it is none
 */
export function momentOf(text: string, now: number): number | null {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^(\d+(\.\d+)?(h|ms?|s))+$/.test(text)) {
    const parts = [...text.matchAll(/([\d.]+)([a-z]+)/g)];
    const ago = parts.reduce((sum, [, count, unit]) => sum + Number(count) * SECONDS[unit], 0);
    return now - ago * 1000;
  }
  const date = /^\d{4}-\d\d-\d\d([T ].*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? null : date;
}
