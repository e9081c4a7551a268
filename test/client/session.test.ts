import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Session } from "../../src/client/session.js";
import { Loop } from "../../src/loop/loop.js";

// A daemon that accepts, and then does not answer as it should.

const MINUTE = 60_000;

const loop = new Loop();
let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "session-"));
  mkdirSync(join(directory, "daemon"));
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  loop.start();
});

afterEach(() => {
  loop.stop();
  vi.useRealTimers();
  rmSync(directory, { recursive: true });
});

/** A session with a daemon that the test plays. */
async function open() {
  const path = join(directory, "daemon/api.sock");
  const ends: string[] = [];
  const server = createServer().listen(path);
  await once(server, "listening");
  const accepted = once(server, "connection");
  const session = await Session.open(path, loop, (how) => ends.push(how));
  if (session === null) throw new Error("nobody listens");
  const [daemon]: Socket[] = await accepted;
  const close = (): void => {
    session.close();
    daemon.destroy();
    server.close();
  };
  return { session, daemon, ends, close };
}

test.each([
  ["nothing", ""],
  ["half an answer", '{"result":'],
])("a daemon that says %s is given up after a minute", async (_, said) => {
  writeFileSync(join(directory, "daemon/daemon.lock"), `${process.pid}\n`);
  const { session, daemon, ends, close } = await open();
  const asked = [session.request("status", {}), session.request("network.list", {})];
  const results = Promise.allSettled(asked);
  await once(daemon, "data");
  daemon.write(said);
  vi.advanceTimersByTime(MINUTE - 1_000);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1_000);
  const message = `the daemon (process ${process.pid}) does not answer: if it stays so, kill -KILL ${process.pid}, and try again`;
  expect(await results).toEqual(
    asked.map(() => ({ status: "rejected", reason: expect.objectContaining({ message }) })),
  );
  // It is closed, as after close().
  await new Promise((resolve) => {
    daemon
      .resume()
      .on("error", () => undefined)
      .once("close", resolve);
  });
  expect([ends, vi.getTimerCount()]).toEqual([[], 0]);
  close();
});

test("each answer gives the next one a minute, and nobody is waited for without a request", async () => {
  const { session, daemon, close } = await open();
  const [first, second] = [session.request("stop", {}), session.request("stop", {})];
  for (const asked of [first, second]) {
    vi.advanceTimersByTime(MINUTE - 1_000);
    daemon.write('{"result":{}}\n');
    expect(await asked).toEqual({});
  }
  expect(vi.getTimerCount()).toBe(0);
  close();
});

test.each(["", "0\n", "12", "-1\n", "1 2\n"])(
  "a lock that says %j names no process",
  async (text) => {
    writeFileSync(join(directory, "daemon/daemon.lock"), text);
    const { session, close } = await open();
    const result = session.request("status", {}).catch((error: Error) => error.message);
    vi.advanceTimersByTime(MINUTE);
    expect(await result).toBe("the daemon does not answer");
    close();
  },
);
