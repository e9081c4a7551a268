import { afterEach, beforeEach, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
beforeEach(() => {
  subject = Subject.start();
});
afterEach(() => subject.stop());

test("the daemon's sandbox allows new threads, which are in it, but no process", async () => {
  const seen = await subject.run(async ({ native, addon, require }) => {
    const { Worker } = require("node:worker_threads") as typeof import("node:worker_threads");
    const { spawnSync } = require("node:child_process") as typeof import("node:child_process");
    native.lockDownDaemon(["/proc"], []);
    const worker = new Worker(
      `const module = { exports: {} };
       process.dlopen(module, ${JSON.stringify(addon)});
       const native = module.exports;
       const { readFileSync } = process.getBuiltinModule("node:fs");
       const events = new Int32Array(2);
       native.loopStart(() => -1, events);
       const limited = native.loopLimit(3600, new Uint8Array(1));
       const status = readFileSync("/proc/thread-self/status", "utf8");
       let opened = 0;
       try { readFileSync("/etc/passwd") } catch (error) { opened = error.code }
       const confined = /NoNewPrivs:\\t1/.test(status) && /Seccomp:\\t2/.test(status);
       const tap = native.socket(17, 3, 0); // AF_PACKET
       process.getBuiltinModule("node:worker_threads").parentPort.postMessage(
         { limited, confined, opened, tap });
       native.loopStop();`,
      { eval: true, name: "named" },
    );
    const inThread = await new Promise((resolve, reject) => {
      worker.once("message", resolve).once("error", reject);
    });
    const spawned = spawnSync("/bin/true");
    return { inThread, spawned: spawned.error instanceof Error };
  });
  expect(seen).toEqual({
    inThread: { limited: 0, confined: true, opened: "EACCES", tap: -1 },
    spawned: true,
  });
});

test("an endless wake-up ends the process, in any thread, by that thread's own time", async () => {
  const { code, signal } = await subject.runToEnd(async ({ addon, require }) => {
    const { Worker } = require("node:worker_threads") as typeof import("node:worker_threads");
    new Worker(
      `const native = require(${JSON.stringify(addon)});
       native.loopStart(() => { for (;;); }, new Int32Array(2));
       native.loopLimit(1, new TextEncoder().encode("stuck\\n"));`,
      { eval: true },
    );
    await new Promise(() => undefined);
  });
  expect({ code, signal, output: subject.output }).toEqual({
    code: 1,
    signal: null,
    output: "stuck\n",
  });
});
