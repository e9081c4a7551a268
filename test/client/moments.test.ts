import { expect, test } from "vitest";
import { spanText } from "../../src/client/views/moments.ts";

const hour = 3600;
const day = 24 * hour;

// Docker's words, and where it changes the unit.
test.each([
  [0, "Less than a second"],
  [1.9, "1 second"],
  [59, "59 seconds"],
  [60, "About a minute"],
  [120, "2 minutes"],
  [hour - 1, "59 minutes"],
  [hour, "About an hour"],
  [2 * hour, "2 hours"],
  [2 * day - 1, "47 hours"],
  [2 * day, "2 days"],
  [14 * day, "2 weeks"],
  [60 * day, "2 months"],
  [729 * day, "24 months"],
  [730 * day, "2 years"],
])("%d s are %s", (seconds, text) => {
  expect(spanText(seconds)).toBe(text);
});
