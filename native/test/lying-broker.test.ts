import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Subject } from "./subject.js";

// The addon's side of broker.h and agent.h, against answers that keep to neither: all lie in the sockets before
// they are asked for.

let subject: Subject;
const directory = mkdtempSync(join(tmpdir(), "lying-"));
// The subject may be another user.
chmodSync(directory, 0o777);
beforeAll(() => {
  subject = Subject.start();
});
afterAll(async () => {
  await subject.stop();
  rmSync(directory, { recursive: true });
});

test("an answer of broker or agent brings what was asked for, or counts as a failure", async () => {
  const seen = await subject.run(
    ({ native, memory, require, errno }, path: string) => {
      const fs = require("node:fs") as typeof import("node:fs");
      const { mem, bytes } = memory(4096);
      const name = new TextEncoder().encode(path);
      bytes[0] = 1; // AF_UNIX
      bytes.set(name, 2);
      const listener = native.socket(1, 5, 0); // SOCK_SEQPACKET
      native.bind(listener, mem, 0, 2 + name.length + 1);
      native.listen(listener, 8);
      const pair = () => {
        const ours = native.socket(1, 5, 0);
        native.connect(ours, mem, 0, 2 + name.length + 1);
        return [ours, native.accept(listener, mem, 1024, 110)] as const;
      };
      const [ours, broker] = pair();
      native.useBroker(ours);
      const stray = native.socket(2, 2, 0);
      /** Ahead of the question. */
      const say = (to: number, result: number, step: number, passed: number | null) => {
        const words = new Uint8Array(new Int32Array([result, step]).buffer);
        native.sendPassing(to, words, passed);
      };
      const open = () => native.openAgent(null, "/nonexistent");
      const NOBODY = 4_194_304; // above the kernel's PID_MAX_LIMIT
      const count = () => fs.readdirSync("/proc/self/fd").length;
      const before = count();

      say(broker, NOBODY, 0, null);
      const noSocket = open();
      say(broker, 0, 0, stray);
      const noProcess = open();
      say(broker, -errno.EACCES, 9999, stray);
      const refused = [open(), native.lastError().step] as const;
      native.sendPassing(broker, new Uint8Array(9), stray);
      const tooLong = open();
      const afterBroker = count() - before;

      const [socket, liar] = pair();
      say(broker, NOBODY, 0, socket);
      say(liar, 0, 0, stray);
      const agent = open();
      const afterEntry = count();
      say(liar, stray, 0, null);
      const number = native.agentOpenTap(agent, "tap0", true);
      say(liar, 0, 0, null);
      const nothing = native.agentSocket(agent, 2, 2, 0);
      say(liar, -errno.EACCES, 9999, stray);
      const failure = [native.agentSocket(agent, 2, 2, 0), native.lastError().step] as const;
      say(liar, 7, 0, stray);
      const index = native.agentIfindex(agent, "lo");
      const afterAgent = count() - afterEntry;
      return {
        noSocket: noSocket === -errno.EMFILE,
        noProcess: noProcess === -errno.EPROTO,
        refused: [refused[0] === -errno.EACCES, refused[1]],
        tooLong: tooLong === -errno.EPIPE,
        afterBroker,
        agent,
        number: number === -errno.EMFILE,
        nothing: nothing === -errno.EMFILE,
        index,
        afterAgent,
        failure: [failure[0] === -errno.EACCES, failure[1]],
        // The broker's own end, the pair that was made here, and the agent's copy of it.
        afterEntry: afterEntry - before,
      };
    },
    join(directory, "socket"),
  );
  expect(seen).toEqual({
    noSocket: true,
    noProcess: true,
    refused: [true, "broker"],
    tooLong: true,
    afterBroker: 0,
    agent: 0,
    number: true,
    nothing: true,
    index: 7,
    afterAgent: 0,
    failure: [true, "agent"],
    afterEntry: 3,
  });
});
