import { expect, it } from "vitest";
import { errnoOf, UserError } from "../../src/base/errors.js";

it("is an error with a message, and a usage error only if it says so", () => {
  expect(new UserError("no such PID: 7")).toMatchObject({
    name: "UserError",
    message: "no such PID: 7",
    exitStatus: 1,
  });
  expect(new UserError("MTU is missing", 2).exitStatus).toBe(2);
  expect(new UserError("x")).toBeInstanceOf(Error);
});

it.each([
  [Object.assign(new Error("x"), { code: "ENOENT" }), "ENOENT"],
  [new Error("broken"), "broken"],
  ["thrown", "thrown"],
])("tells %s by %j", (error, text) => {
  expect(errnoOf(error)).toBe(text);
});
