import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accountsPossible } from "../../lab/account.ts";
import { Lab } from "../../lab/lab.ts";
import { helper as ours } from "../../lab/product.ts";

/** A program that gives namespaces a network, with slirp4netns's command line. */
export interface Helper {
  readonly name: "Slipway" | "slirp4netns";
  /** its path for the lab's processes */
  readonly path: string;
  /** first of the host's ports for checks on this helper */
  readonly firstPort: number;
}

/** The subject of checks; it takes one helper. */
export interface Engine {
  close(): Promise<void>;
}

/** States that slirp4netns fails a check, why, and the error of the check. */
export interface Expectation {
  readonly slirp4netns: string;
  readonly error: RegExp;
}

type Outcome = "yes" | "no";
type Row = Partial<Record<Helper["name"], Outcome>> & { why?: string };

/** Defines a check: on Slipway it must pass, on slirp4netns it must do as stated. */
export type Check<E extends Engine> = (
  name: string,
  body: (engine: E) => Promise<void>,
  expectation?: Expectation,
) => void;

/** A group of checks, with an engine on each of the two helpers and a table at the end. */
export function compare<E extends Engine>(
  title: string,
  make: (lab: Lab, helper: Helper) => Promise<E>,
  define: (check: Check<E>) => void,
): void {
  const { possible, why } = accountsPossible();
  const rows = new Map<string, Row>();
  const engines = new Map<Helper["name"], E>();
  let lab: Lab | undefined;

  const check: Check<E> = (name, body, expectation) => {
    const attempt = async (helper: Helper["name"]): Promise<unknown> => {
      const why = expectation === undefined ? {} : { why: expectation.slirp4netns };
      rows.set(name, { ...rows.get(name), ...why });
      try {
        const engine = engines.get(helper);
        if (engine === undefined) throw new Error(`no engine on ${helper}`);
        await body(engine);
        rows.set(name, { ...rows.get(name), [helper]: "yes" });
        return null;
      } catch (error) {
        rows.set(name, { ...rows.get(name), [helper]: "no" });
        return error;
      }
    };
    test(`${name}: Slipway`, async () => {
      const error = await attempt("Slipway");
      if (error !== null) throw error;
    });
    test(`${name}: slirp4netns`, async () => {
      const error = await attempt("slirp4netns");
      if (expectation === undefined && error !== null) throw error;
      if (expectation === undefined) return;
      expect(error, "slirp4netns can do it now: update docs/differences.md").not.toBe(null);
      expect(String(error)).toMatch(expectation.error);
    });
  };

  describe.skipIf(!possible)(possible ? title : `${title} (${why})`, () => {
    beforeAll(async () => {
      const created = await Lab.create(undefined, true);
      lab = created;
      for (const helper of helpersIn(created))
        engines.set(helper.name, await make(created, helper));
    });
    define(check);
    test.for(["Slipway", "slirp4netns"] as const)("nothing is left of it: %s", async (name) => {
      await engines.get(name)?.close();
    });
    afterAll(async () => {
      console.log(table(title, rows));
      await lab?.close();
    });
  });
}

function helpersIn(lab: Lab): readonly Helper[] {
  return [
    { name: "Slipway", path: lab.host.stage.inside(ours), firstPort: 8_000 },
    { name: "slirp4netns", path: "/usr/bin/slirp4netns", firstPort: 9_000 },
  ];
}

function table(title: string, rows: ReadonlyMap<string, Row>): string {
  const width = Math.max(title.length, ...[...rows.keys()].map((name) => name.length));
  const lines = [...rows].map(([name, { Slipway = "-", slirp4netns = "-", why = "" }]) =>
    `${name.padEnd(width)}  ${Slipway.padEnd(7)}  ${slirp4netns.padEnd(11)}  ${why}`.trimEnd(),
  );
  return [`${title.padEnd(width)}  Slipway  slirp4netns`, ...lines].join("\n");
}
