import { expect, test } from "vitest";
import { TokenBucket } from "../../src/base/token-bucket.js";

function taken(bucket: TokenBucket, now: number): number {
  let count = 0;
  while (bucket.take(now)) count += 1;
  return count;
}

test("a bucket gives its burst at once, and then its rate", () => {
  const bucket = new TokenBucket(1000, 5);
  expect(taken(bucket, 0)).toBe(5);
  expect(taken(bucket, 0.5)).toBe(0);
  expect(taken(bucket, 1)).toBe(1);
  expect(taken(bucket, 3.25)).toBe(2);
  expect(taken(bucket, 3.75)).toBe(0);
  expect(taken(bucket, 4)).toBe(1);
  expect(taken(bucket, 10_000)).toBe(5);
  expect(bucket.take(10_003, 0.5)).toBe(false);
  expect(bucket.take(10_004, 0.5)).toBe(true);
});

test("returned tokens can be taken again, up to the burst", () => {
  const bucket = new TokenBucket(1000, 5);
  expect(taken(bucket, 0)).toBe(5);
  bucket.giveBack();
  expect(taken(bucket, 0)).toBe(1);
  for (let count = 0; count < 9; count += 1) bucket.giveBack();
  expect(taken(bucket, 0)).toBe(5);
});

test("several tokens are taken together, or none", () => {
  const bucket = new TokenBucket(1000, 5);
  expect(bucket.takeMany(0, 6)).toBe(false);
  expect(bucket.takeMany(0, 4)).toBe(true);
  expect(bucket.takeMany(0, 2)).toBe(false);
  expect(bucket.takeMany(1, 2)).toBe(true);
  expect(taken(bucket, 1)).toBe(0);
});
