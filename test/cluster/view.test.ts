import { expect, test } from "vitest";
import { Nonsense } from "../../src/cluster/encoding/values.ts";
import { Complaints } from "../../src/cluster/views/complaints.ts";
import { View } from "../../src/cluster/views/view.ts";

interface Thing {
  readonly name: string;
  readonly stakes: readonly string[];
}

/** A view of things such as "name a b", which has the stakes a and b; and what it has reported. */
function open(): { view: View<Thing>; shown: Map<string, Thing>; reports: string[] } {
  const shown = new Map<string, Thing>();
  const reports: string[] = [];
  const decode = (_: string, value: string): Thing | Nonsense => {
    const [name, ...stakes] = value.split(" ");
    return name === "" ? new Nonsense("it has no name") : { name, stakes };
  };
  const view = new View<Thing>({ decode, stakes: ({ stakes }) => stakes }, new Complaints("test"), {
    onShown: (thing) => {
      reports.push(`+${thing.name}`);
      for (const [stake, other] of shown) if (other.name === thing.name) shown.delete(stake);
      for (const stake of thing.stakes) {
        const other = shown.get(stake);
        if (other !== undefined && other.name !== thing.name) {
          throw new Error(`${other.name} and ${thing.name} both have ${stake}`);
        }
        shown.set(stake, thing);
      }
    },
    onHidden: (thing) => {
      reports.push(`-${thing.name}`);
      for (const [stake, other] of shown) if (other.name === thing.name) shown.delete(stake);
    },
  });
  return { view, shown, reports };
}

function entry(key: string, value: string, created: number, modified = created) {
  return { key, value, created, modified };
}

test("shows who had a stake first, whatever the order they come in", () => {
  const { view, reports } = open();
  view.put(entry("b", "second x", 2));
  view.put(entry("a", "first x", 1));
  view.put(entry("c", "third x", 3));
  expect(reports).toEqual(["+second", "-second", "+first"]);
  view.delete("a");
  expect(reports.slice(3)).toEqual(["-first", "+second"]);
  expect([...view.records()].map(({ name }) => name)).toEqual(["second"]);
});

test("what is hidden keeps nobody out", () => {
  const { view, reports } = open();
  view.put(entry("a", "first x", 1));
  view.put(entry("b", "second x y", 2));
  view.put(entry("c", "third y", 3));
  expect(reports).toEqual(["+first", "+third"]);
  view.delete("a");
  expect(reports.slice(2)).toEqual(["-first", "-third", "+second"]);
});

test("a record that changes is judged again, and so are its rivals", () => {
  const { view, reports } = open();
  view.put(entry("a", "first x", 1));
  view.put(entry("b", "second y", 2));
  view.put(entry("a", "first y", 1, 3));
  expect(reports.slice(2)).toEqual(["-second", "+first"]);
  view.put(entry("a", "first z", 1, 4));
  expect(reports.slice(4).toSorted()).toEqual(["+first", "+second"]);
  view.put(entry("a", "", 1, 5));
  expect(reports.slice(6)).toEqual(["-first"]);
  view.put(entry("a", "first z", 1, 6));
  expect(reports.slice(7)).toEqual(["+first"]);
});

test("any sequence leaves what the rules say", () => {
  const { view, shown } = open();
  const things = new Map<string, { stakes: readonly string[]; created: number }>();
  const pick = (count: number): number => Math.floor(Math.random() * count);
  for (let step = 1; step < 3_000; step += 1) {
    const key = `k${pick(12)}`;
    if (pick(3) === 0) {
      view.delete(key);
      things.delete(key);
    } else {
      const stakes = [`s${pick(5)}`, `t${pick(5)}`];
      const created = things.get(key)?.created ?? step;
      view.put(entry(key, `${key} ${stakes.join(" ")}`, created, step));
      things.set(key, { stakes, created });
    }
    const expected = new Map<string, string>();
    for (const [name, { stakes }] of [...things].toSorted(
      ([, a], [, b]) => a.created - b.created,
    )) {
      if (stakes.every((stake) => !expected.has(stake))) {
        for (const stake of stakes) expected.set(stake, name);
      }
    }
    expect(new Map([...shown].map(([stake, { name }]) => [stake, name]))).toEqual(expected);
  }
});
