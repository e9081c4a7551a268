import fc from "fast-check";
import { expect, it } from "vitest";
import { IdPool } from "../../src/base/id-pool.js";

it("counts from 0 while nothing is released", () => {
  const pool = new IdPool();
  expect([pool.take(), pool.take(), pool.take()]).toEqual([0, 1, 2]);
});

it("does not reuse an id before reap", () => {
  const pool = new IdPool();
  const id = pool.take();
  pool.release(id);
  expect(pool.take()).toBe(1);
  pool.reap();
  expect(pool.take()).toBe(id);
});

it("distinguishes free ids from those that wait, in any order", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("take", "release", "reap")), (steps) => {
      const pool = new IdPool();
      const taken: number[] = [];
      const waiting = new Set<number>();
      let most = 0;
      for (const step of steps) {
        if (step === "take") {
          const id = pool.take();
          expect(taken).not.toContain(id);
          expect(waiting).not.toContain(id);
          taken.push(id);
          most = Math.max(most, taken.length + waiting.size);
          expect(id).toBeLessThan(most);
        } else if (step === "release") {
          const id = taken.shift();
          if (id === undefined) continue;
          pool.release(id);
          waiting.add(id);
        } else {
          pool.reap();
          waiting.clear();
        }
      }
    }),
  );
});
