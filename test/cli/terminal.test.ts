import { expect, test } from "vitest";
import { parseTerminalState } from "../../src/cli/terminal.js";

test.each([
  ["in the foreground", "10 (slipway) S 9 10 9 34816 10 4194560", true, true],
  ["in the background", "10 (slipway) S 9 10 9 34816 11 4194560", true, false],
  ["without a terminal", "10 (slipway) S 9 10 9 0 -1 4194560", false, false],
  ["under a name that imitates the fields", "10 (a) S 1 (b) S 9 10 9 34816 10 41", true, true],
])("a process %s", (_case, stat, hasTerminal, isForeground) => {
  expect(parseTerminalState(stat)).toEqual({ hasTerminal, isForeground });
});
