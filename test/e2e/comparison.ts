import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Lab } from "../lab/lab.ts";

/** A program that gives namespaces a network: Slipway, or the one whose command line it shares. */
export interface Helper {
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
  /** paths of both programs for processes of the lab */
  paths(lab: Lab): { readonly ours: string; readonly peers: string };
}

/** Defines a check: on Slipway it must pass, on the peer it must do as stated. */
export type Check<E extends Engine> = (
  name: string,
  body: (engine: E) => Promise<void>,
  expectation?: Expectation,
) => void;

const OURS = "Slipway";

interface Row {
  readonly results: Map<string, "yes" | "no">;
  readonly why: string;
}

/** A group of checks, with an engine on each of the two helpers and a table at the end. */
export function compareWith<E extends Engine>(
  peer: Peer,
  title: string,
  make: (lab: Lab, helper: Helper) => Promise<E>,
  define: (check: Check<E>) => void,
): void {
  const rows = new Map<string, Row>();
  const engines = new Map<string, E>();
  const names = [OURS, peer.name] as const;
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
    test(`${name}: ${OURS}`, async () => {
      const error = await attempt(OURS);
      if (error !== null) throw error;
    });
    const expected = expectation?.error;
    if (expected === null) return;
    test(`${name}: ${peer.name}`, async () => {
      const error = await attempt(peer.name);
      if (expected === undefined && error !== null) throw error;
      if (expected === undefined) return;
      expect(error, `${peer.name} can do it now: update docs/differences.md`).not.toBe(null);
      expect(String(error)).toMatch(expected);
    });
  };

  describe.skipIf(!peer.possible)(peer.possible ? title : `${title} (${peer.why})`, () => {
    beforeAll(async () => {
      const created = await Lab.create(undefined, true);
      lab = created;
      const { ours, peers } = peer.paths(created);
      engines.set(OURS, await make(created, { name: OURS, path: ours, firstPort: 8_000 }));
      const other = { name: peer.name, path: peers, firstPort: 9_000 };
      engines.set(peer.name, await make(created, other));
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
