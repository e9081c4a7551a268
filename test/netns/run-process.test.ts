import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isBeingStarted, runProcess } from "../../src/netns/run-process.ts";
import { allProcesses, argumentsOf, parentOf } from "../../src/rpc/processes.ts";

let directory: string;
const runs: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "run-"));
  // Whoever opens it waits.
  execFileSync("mkfifo", [join(directory, "never")]);
});

afterEach(async () => {
  for (const run of runs.splice(0)) {
    // With all that it has started.
    process.kill(-(run.pid ?? 0), "SIGKILL");
    await once(run, "exit");
  }
  rmSync(directory, { recursive: true });
});

/**
 * A shell with the arguments of `slipway run --name NAME`, which it reads as the script `run`.
 * @param name of no other test: what a run has forked off may outlive it by a moment
 * @param within a command that starts it
 * @returns its PID, or that of the command
 */
async function slipwayRun(
  name: string,
  script: string,
  within: readonly string[] = [],
): Promise<number> {
  // What it forks off has the same arguments, as the broker has.
  writeFileSync(join(directory, "run"), `(echo there; read line < never) &\n${script}\nwait\n`);
  const [file, ...args] = [...within, "bash", "-c", 'exec -a slipway sh run --name "$0"', name];
  const run = spawn(file, args, {
    cwd: directory,
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  runs.push(run);
  await once(run.stdout ?? run, "data");
  return run.pid ?? 0;
}

test("a run is being started until its command is executed in a network of its own", async () => {
  const pid = await slipwayRun("starting", "sleep 4330 &");
  expect(runProcess(pid)).toEqual({ kind: "starting" });
  expect(isBeingStarted("starting")).toBe(true);
  expect(isBeingStarted("STARTING")).toBe(true);
  expect(isBeingStarted("other")).toBe(false);
});

test("a run whose command is executed is not being started, whatever it has forked off besides", async () => {
  const pid = await slipwayRun("running", "unshare --map-root-user --net sleep 4331 &");
  await expect.poll(() => runProcess(pid)).toMatchObject({ kind: "running" });
  expect(isBeingStarted("running")).toBe(false);
});

test("a run of that name in a container is not waited for", async () => {
  const pid = await slipwayRun("contained", "sleep 4332 &", [
    "unshare",
    "--map-root-user",
    "--pid",
    "--fork",
  ]);
  expect(runProcess(pid).kind).toBe("other");
  expect(isBeingStarted("contained")).toBe(false);
});

test("what a launcher has forked off by a link of another name is no command yet", async () => {
  // The same arguments behind the name, in a network of its own: as the launcher's child is before exec.
  const child = `if [ -n "$CHILD" ]; then echo there; read line < never; fi
    CHILD=yes exec unshare --map-root-user --net bash -c 'exec -a link sh run --name "$0"' linked`;
  const pid = await slipwayRun("linked", `(${child}) &`);
  const isForked = (each: number) => argumentsOf(each)[0] === "link" && parentOf(each) === pid;
  await expect.poll(() => allProcesses().some(isForked)).toBe(true);
  expect(runProcess(pid)).toEqual({ kind: "starting" });
});

test("another program is no run", () => {
  expect(runProcess(process.pid)).toEqual({ kind: "other" });
});
