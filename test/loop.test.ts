import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { openTap } from "../src/attach.js";
import { Loop } from "../src/loop.js";
import { Stack } from "../src/stack/stack.js";
import { config, PLAN4 } from "./service/frames.js";

const run = promisify(execFile);
const holders: ChildProcess[] = [];

afterEach(() => {
  vi.restoreAllMocks();
  for (const holder of holders.splice(0)) holder.kill("SIGKILL");
});

/** A network namespace, by the PID of a process in it. */
async function namespace(): Promise<number> {
  const holder = spawn("unshare", ["-Urn", "cat"], { stdio: ["pipe", "pipe", "inherit"] });
  holders.push(holder);
  holder.stdin.write("made\n");
  await new Promise((resolve) => holder.stdout.once("data", resolve));
  return holder.pid ?? 0;
}

function ping(pid: number): Promise<unknown> {
  const inside = ["-t", `${pid}`, "-U", "-n", "--preserve-credentials"];
  return run("nsenter", [...inside, "ping", "-c1", "-W2", `${PLAN4.gateway}`]);
}

test("a guest whose stack fails is ended with the reason, and another goes on", async () => {
  const loop = new Loop();
  const gone: string[] = [];
  const pids = [await namespace(), await namespace()];
  const settings = { plans: [PLAN4], mtu: 1500, txqueuelen: 1000 };
  for (const pid of pids) {
    const tap = openTap({ netns: `/proc/${pid}/ns/net`, userns: null }, "tap0", settings);
    loop.addGuest(tap, config({ plans: [PLAN4] }), (why) => gone.push(`${pid} ${why}`));
  }
  loop.start();
  try {
    for (const pid of pids) await ping(pid);
    vi.spyOn(Stack.prototype, "input").mockImplementationOnce(() => {
      throw new Error("unreachable");
    });
    await expect(ping(pids[0])).rejects.toThrow();
    expect(gone).toEqual([`${pids[0]} the stack failed (Error: unreachable)`]);
    await ping(pids[1]);
  } finally {
    loop.stop();
  }
});
