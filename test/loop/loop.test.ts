import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { log } from "../../src/base/log.js";
import { Loop } from "../../src/loop/loop.js";
import { openTap } from "../../src/netns/tap.js";
import * as abi from "../../src/stack/abi.js";
import { FlowEvent, MOST_EVENTS_AT_ONCE, Stack } from "../../src/stack/stack.js";
import { config, PLAN4 } from "../services/frames.js";

const run = promisify(execFile);
const holders: ChildProcess[] = [];

afterEach(() => {
  vi.restoreAllMocks();
  for (const holder of holders.splice(0)) holder.kill("SIGKILL");
});

/** Networks on whose interfaces nobody sends unasked. */
const quiet = "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; exec cat";

/** A network namespace, by the PID of a process in it. */
async function namespace(): Promise<number> {
  const holder = spawn("unshare", ["-Urn", "sh", "-c", quiet], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  holders.push(holder);
  holder.stdin.write("made\n");
  await new Promise((resolve) => holder.stdout.once("data", resolve));
  return holder.pid ?? 0;
}

function ping(pid: number, seconds = 2): Promise<unknown> {
  const inside = ["-t", `${pid}`, "-U", "-n", "--preserve-credentials"];
  return run("nsenter", [...inside, "ping", "-c1", `-W${seconds}`, `${PLAN4.gateway}`]);
}

interface Served {
  readonly pids: readonly [number, number];
  readonly gone: string[];
  readonly said: () => string;
}

/** Two guests of one loop, the first of which will fail. */
async function withTwoGuests(use: (served: Served) => Promise<void>): Promise<void> {
  const loop = new Loop();
  const gone: string[] = [];
  const pids = [await namespace(), await namespace()] as const;
  const settings = { plans: [PLAN4], mtu: 1500, txqueuelen: 1000 };
  const errors = vi.spyOn(log, "error").mockImplementation(() => {});
  for (const pid of pids) {
    const tap = openTap({ netns: `/proc/${pid}/ns/net`, userns: null }, "tap0", settings);
    loop.addGuest(tap, config({ plans: [PLAN4] }), (why, isFault) =>
      gone.push(`${pid} ${why} ${isFault}`),
    );
  }
  loop.start();
  try {
    for (const pid of pids) await ping(pid);
    await use({ pids, gone, said: () => errors.mock.calls.flat().join("\n") });
  } finally {
    loop.stop();
  }
}

/** Overwrites the data of lwIP and the glue, so that the next frame makes the WASM trap. */
function corruptAtNextFrame(): void {
  vi.spyOn(Stack.prototype, "input").mockImplementationOnce(function (this: Stack, length) {
    this.bytes.fill(0xff, 0, this.buffer & ~0xffff);
    return this.input(length);
  });
}

test("after a trap in WASM the guest gets a new stack, and another notices nothing", async () => {
  await withTwoGuests(async ({ pids, gone, said }) => {
    corruptAtNextFrame();
    await expect(ping(pids[0], 0.3)).rejects.toThrow();
    for (const pid of pids) await ping(pid);
    expect(gone).toEqual([]);
    expect(said()).toMatch(
      /^the stack failed \(RuntimeError: .+\) and was built again: its connections are reset$/,
    );
  });
});

/** Injects an event at the next poll, of a flow and with bits that an attacker who controls the stack chooses. */
function tell(id: number, bits: number): void {
  vi.spyOn(Stack.prototype, "takeEvents").mockImplementationOnce(function (this: Stack) {
    this.events.set([id, bits]);
    return 1;
  });
}

function tellForEver(): void {
  const spy = vi.spyOn(Stack.prototype, "takeEvents");
  for (let taken = 0; taken <= MOST_EVENTS_AT_ONCE; taken += abi.MAX_EVENTS) {
    spy.mockReturnValueOnce(abi.MAX_EVENTS);
  }
}

test.each<[string, () => void, RegExp]>([
  ["tells of a flow that cannot be", () => tell(70_000, FlowEvent.Data), /flow 70000/],
  ["tells of the start of a flow that is not", () => tell(7, FlowEvent.Syn), /no flow 7/],
  ["has no end of events", tellForEver, /events without an end/],
])("a stack that %s is replaced, and another notices nothing", async (_, lie, reason) => {
  await withTwoGuests(async ({ pids, gone, said }) => {
    lie();
    await Promise.any(pids.map((pid) => ping(pid, 0.3))).catch(() => undefined);
    await vi.waitFor(() => expect(said()).toMatch(reason));
    for (const pid of pids) await ping(pid);
    expect(gone).toEqual([]);
  });
});

test("a stack that fails repeatedly ends its guest, with the reason", async () => {
  await withTwoGuests(async ({ pids, gone, said }) => {
    for (let fault = 1; fault <= 4; fault += 1) {
      corruptAtNextFrame();
      await expect(ping(pids[0], 0.3)).rejects.toThrow();
    }
    await vi.waitFor(() => expect(gone).toHaveLength(1));
    expect(gone[0]).toMatch(
      new RegExp(`^${pids[0]} the stack failed \\(RuntimeError: .+\\) true$`),
    );
    expect(said().split("\n")).toHaveLength(3);
    await ping(pids[1]);
  });
});
