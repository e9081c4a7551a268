import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Subject } from "./subject.js";
import { checkout, reachable } from "./unprivileged.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const example = /```js\n(.*?)```/s.exec(readme)?.[1] ?? "";

test("the example of the README prints the first frame", async () => {
  const subject = Subject.start();
  const output = await subject.run(
    async ({ hold, native, require, reap }, example: string, cwd: string) => {
      const { spawn } = require("node:child_process") as typeof import("node:child_process");
      // A namespace that brings the TAP up as soon as there is one: the kernel then sends frames.
      const child = hold("until ip link set tap0 up 2>/dev/null; do sleep 0.01; done; sleep 60");
      native.releaseSpawned(child.control);
      const args = ["--input-type=commonjs", "-e", example, "example", String(child.pid)];
      const node = spawn(process.execPath, args, { cwd });
      let output = "";
      for (const stream of [node.stdout, node.stderr]) {
        stream.on("data", (data) => {
          output += data;
        });
      }
      await new Promise((resolve) => node.once("close", resolve));
      native.pidfdSignal(child.pidfd, 9);
      await reap(child.pidfd);
      native.close(child.pidfd);
      return output;
    },
    example,
    reachable(checkout),
  );
  await subject.stop();
  expect(output).toMatch(/^frame of \d+ bytes\n$/);
});
