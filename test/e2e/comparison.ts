import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Lab } from "../lab/lab.ts";

/** A program that gives namespaces a network: Slipway, or the one whose command line it shares. */
export interface Helper {
  /** "Slipway", "shared" for its shared mode, or the peer's */
  readonly name: string;
  /** its path for the lab's processes */
  readonly path: string;
  /** first of the host's ports for checks on this helper */
  readonly firstPort: number;
}

/** The subject of checks; it takes one helper. */
export interface Engine {
  close(): Promise<void>;
}

/** States that the peer fails a check, and why. */
export interface Expectation {
  readonly why: string;
  /** of the check; null: it fails now and then, so that nothing is asserted of it and it does not run */
  readonly error: RegExp | null;
}

/** Whose command line is compared. */
export interface Peer {
  /** whether the machine can do it, or why it cannot */
  readonly possible: boolean;
  readonly why: string;
  readonly name: string;
  /** Slipway's names */
  readonly ours: readonly string[];
  /** paths of both programs for processes of the lab */
  paths(lab: Lab): { readonly ours: string; readonly peers: string };
}

/** Defines a check, which must pass unless something else is stated. */
export type Check<E extends Engine> = (
  name: string,
  body: (engine: E) => Promise<void>,
  expectation?: Expectation,
) => void;

/** First port of the first helper, and how far those of the next are. */
const FIRST_PORT = 8_000;
const PORTS = 500;

interface Row {
  readonly results: Map<string, "yes" | "no">;
  readonly why: string;
}

/** A group of checks, with an engine on each helper and a table at the end. */
export function compareWith<E extends Engine>(
  peer: Peer,
  title: string,
  make: (lab: Lab, helper: Helper) => Promise<E>,
  define: (check: Check<E>) => void,
): void {
  const rows = new Map<string, Row>();
  const engines = new Map<string, E>();
  const names = [...peer.ours, peer.name];
  let lab: Lab | undefined;

  const check: Check<E> = (name, body, expectation) => {
    const row: Row = { results: new Map(), why: expectation?.why ?? "" };
    const attempt = async (helper: string): Promise<unknown> => {
      rows.set(name, row);
      try {
        const engine = engines.get(helper);
        if (engine === undefined) throw new Error(`no engine on ${helper}`);
        await body(engine);
        row.results.set(helper, "yes");
        return null;
      } catch (error) {
        row.results.set(helper, "no");
        return error;
      }
    };
    for (const helper of names) {
      const expected = helper === peer.name ? expectation?.error : undefined;
      if (expected === null) continue;
      test(`${name}: ${helper}`, async () => {
        const error = await attempt(helper);
        if (expected === undefined && error !== null) throw error;
        if (expected === undefined) return;
        expect(error, `${helper} can do it now: update docs/differences.md`).not.toBe(null);
        expect(String(error)).toMatch(expected);
      });
    }
  };

  describe.skipIf(!peer.possible)(peer.possible ? title : `${title} (${peer.why})`, () => {
    beforeAll(async () => {
      const created = await Lab.create(undefined, true);
      lab = created;
      const { ours, peers } = peer.paths(created);
      for (const [index, name] of names.entries()) {
        const path = name === peer.name ? peers : ours;
        const helper = { name, path, firstPort: FIRST_PORT + index * PORTS };
        engines.set(name, await make(created, helper));
      }
    });
    define(check);
    test.for(names)("nothing is left of it: %s", async (name) => {
      await engines.get(name)?.close();
    });
    afterAll(async () => {
      console.log(table(title, names, rows));
      await lab?.close();
    });
  });
}

function table(title: string, names: readonly string[], rows: ReadonlyMap<string, Row>): string {
  const width = Math.max(title.length, ...[...rows.keys()].map((name) => name.length));
  const line = (head: string, cells: readonly string[], why: string) =>
    [head.padEnd(width), ...cells.map((cell, index) => cell.padEnd(names[index]?.length ?? 0)), why]
      .join("  ")
      .trimEnd();
  return [
    line(title, names, ""),
    ...[...rows].map(([name, { results, why }]) => {
      const cells = names.map((helper) => results.get(helper) ?? "-");
      return line(name, cells, why);
    }),
  ].join("\n");
}
