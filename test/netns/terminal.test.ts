import { expect, test } from "vitest";
import { jobStateOf, parseJobState } from "../../src/netns/terminal.js";

test.each([
  ["in the foreground", "10 (slipway) S 9 10 9 34816 10 4194560", 10, 10],
  ["in the background", "10 (slipway) S 9 10 9 34816 11 4194560", 10, 11],
  ["without a terminal", "10 (slipway) S 9 10 9 0 -1 4194560", 10, null],
  ["under a name that imitates the fields", "10 (a) S 1 (b) S 9 10 9 34816 10 4", 10, 10],
])("a process %s", (_case, stat, group, foregroundGroup) => {
  expect(parseJobState(stat)).toEqual({ group, foregroundGroup });
});

test("a process that does not exist has no state", () => {
  expect(jobStateOf("self")()?.group).toBeGreaterThan(0);
  expect(jobStateOf(2 ** 22)()).toBeNull();
});
