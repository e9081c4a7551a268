import { expect, test } from "vitest";
import { guestEnvironment } from "../../src/netns/spawn.js";

test("the command gets the variables that the launcher set aside, and none of the launcher's own", () => {
  const own = {
    PATH: "/usr/bin",
    SLIPWAY_PARKED_NODE_OPTIONS: "--no-warnings",
    SLIPWAY_FDS: "0,1,2",
    SLIPWAY_NODE: "/usr/bin/node",
  };
  expect(guestEnvironment(own)).toEqual([
    "PATH=/usr/bin",
    "SLIPWAY_NODE=/usr/bin/node",
    "NODE_OPTIONS=--no-warnings",
  ]);
});

test("a variable that was set for the command replaces the user's", () => {
  const own = { GREETING: "hello", SLIPWAY_PARKED_GREETING: "bye", SLIPWAY_PARKED_EMPTY: "" };
  expect(guestEnvironment(own)).toEqual(["GREETING=bye", "EMPTY="]);
});
