import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type LruEntry, LruList } from "../../src/base/lru-list.js";

/** All values, oldest first. */
function contents(
  recency: LruList<number>,
  places: ReadonlyMap<number, LruEntry<number>>,
): number[] {
  const values: number[] = [];
  for (let left = recency.count; left > 0; left -= 1) {
    const { oldest } = recency;
    const place = oldest === null ? undefined : places.get(oldest);
    if (place === undefined) break;
    values.push(place.value);
    recency.touch(place);
  }
  return values;
}

describe("recency", () => {
  test("matches an array's order, whatever is added, used and removed", () => {
    const step = fc.tuple(fc.constantFrom("add", "touch", "remove"), fc.nat(9));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const recency = new LruList<number>();
        const places = new Map<number, LruEntry<number>>();
        let model: number[] = [];
        for (const [what, value] of steps) {
          const place = places.get(value);
          if (what === "add" && place === undefined) {
            places.set(value, recency.add(value));
            model.push(value);
          } else if (what === "touch" && place !== undefined) {
            recency.touch(place);
            model = [...model.filter((each) => each !== value), value];
          } else if (what === "remove" && place !== undefined) {
            recency.remove(place);
            places.delete(value);
            model = model.filter((each) => each !== value);
          }
          expect(recency.count).toBe(model.length);
          expect(recency.oldest).toBe(model[0] ?? null);
        }
        expect(contents(recency, places)).toEqual(model);
      }),
    );
  });
});
