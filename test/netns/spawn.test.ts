import { expect, test } from "vitest";
import { guestEnvironment } from "../../src/netns/spawn.js";

test("the command gets back what the launcher parked, and none of the launcher's words to us", () => {
  const own = {
    PATH: "/usr/bin",
    SLIPWAY_PARKED_NODE_OPTIONS: "--no-warnings",
    SLIPWAY_FDS: "0,1,2",
    SLIPWAY_NODE: "/usr/bin/node",
  };
  expect(guestEnvironment(own)).toEqual([
    "PATH=/usr/bin",
    "NODE_OPTIONS=--no-warnings",
    "SLIPWAY_NODE=/usr/bin/node",
  ]);
});
