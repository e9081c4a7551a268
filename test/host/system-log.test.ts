import { expect, test } from "vitest";
import { messageOf } from "../../src/host/output/system-log.js";

test.each([
  ["pasta: info: it is up\n", "<30>pasta: info: it is up"],
  ["pasta: warning: a: b\n", "<28>pasta: warning: a: b"],
  ["pasta: the network is gone\n", "<27>pasta: the network is gone"],
])("%j becomes %j", (line, message) => {
  expect(messageOf(line)).toBe(message);
});
