import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { getuid } from "node:process";
import { served } from "../../lab/addresses.ts";
import { isOpenToTests } from "../../lab/process.ts";
import { attacked, expectStopped, installAttack } from "../attacked-process.ts";
import { describe, expect, test } from "../fixture.ts";
import { Background, pidFileOf, quiet } from "./background.ts";

const NOTHING = "0000000000000000";

function statusOf(pid: number, thread: string | number = pid): Map<string, string> {
  const lines = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8").trimEnd().split("\n");
  return new Map(lines.map((line) => line.split(":\t", 2) as [string, string]));
}

/** Expects every thread to have no right, and what it should have. */
function expectConfined(pid: number, ids: string): void {
  const threads = readdirSync(`/proc/${pid}/task`);
  expect(threads.length).toBeGreaterThan(1);
  for (const thread of threads) {
    const status = statusOf(pid, thread);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
      expect(status.get(set), `${set} of ${status.get("Name")}`).toBe(NOTHING);
    }
    expect(status.get("NoNewPrivs")).toBe("1");
    expect(status.get("Seccomp")).toBe("2");
    expect(status.get("Uid")).toBe(ids);
    expect(status.get("Groups")?.trim()).toBe("");
  }
}

const four = (id: number): string => Array(4).fill(id).join("\t");

describe("in the background", () => {
  test("it is the first process of a PID namespace, and has no right on any thread", async ({
    lab,
  }) => {
    await using namespace = await lab.host.namespace();
    await using pasta = await Background.start(lab, [`${namespace.pid}`]);
    const status = statusOf(pasta.pid);
    expect(status.get("NSpid")?.split("\t").at(-1)).toBe("1");
    expectConfined(pasta.pid, status.get("Uid") ?? "");
  });

  test.runIf(isOpenToTests)(
    "it has namespaces of its own, and nothing in its root",
    async ({ lab }) => {
      await using namespace = await lab.host.namespace();
      await using pasta = await Background.start(lab, [`${namespace.pid}`]);
      const of = (pid: number | "self", kind: string): string =>
        readlinkSync(`/proc/${pid}/ns/${kind}`);
      const shared = ["user", "mnt", "pid", "ipc", "uts"].filter(
        (kind) => of(pasta.pid, kind) === of(lab.host.root.pid, kind),
      );
      expect(shared).toEqual([]);
      expect(of(pasta.pid, "net")).toBe(of(lab.host.root.pid, "net"));
      expect(readdirSync(`/proc/${pasta.pid}/root/`)).toEqual([]);
      expect(readlinkSync(`/proc/${pasta.pid}/cwd`)).toBe("/");
      const mounts = readFileSync(`/proc/${pasta.pid}/mounts`, "utf8").trimEnd().split("\n");
      expect(mounts).toEqual([expect.stringMatching(/^\S+ \/ tmpfs ro,nosuid,nodev,noexec,/)]);
    },
  );

  test.runIf(isOpenToTests)(
    "its standard descriptors are /dev/null, and it holds no file",
    async ({ lab }) => {
      await using namespace = await lab.host.namespace();
      await using pasta = await Background.start(lab, [`${namespace.pid}`]);
      const folder = `/proc/${pasta.pid}/fd`;
      const open = new Map(readdirSync(folder).map((fd) => [fd, readlinkSync(`${folder}/${fd}`)]));
      expect(["0", "1", "2"].map((fd) => open.get(fd))).toEqual(Array(3).fill("/dev/null"));
      const files = [...open.values()].filter((what) => /^\//.test(what));
      expect(files.filter((what) => !/^\/dev\/(null|net\/tun)$/.test(what))).toEqual([]);
    },
  );

  test("the user cannot trace it, nor read its memory", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await using pasta = await Background.start(lab, [`${namespace.pid}`]);
    for (const file of ["mem", "environ"]) {
      const read = await lab.host.user.run(["head", "-c", "1", `/proc/${pasta.pid}/${file}`]);
      expect(read.stderr, file).toMatch(/Permission denied/);
    }
    expect((await namespace.run(["ls", `/proc/${pasta.pid}/root/`])).code).not.toBe(0);
  });

  test.runIf(isOpenToTests)("its keeper lets go of what the caller had open", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await using pasta = await Background.start(lab, [`${namespace.pid}`]);
    const keeper = Number(statusOf(pasta.pid).get("PPid"));
    expect(statusOf(keeper).get("Name")).toBe("slipway-keeper");
    expect(readdirSync(`/proc/${keeper}/fd`)).toEqual(["0"]);
  });
});

// Only the machine's root has every user's ids.
describe.runIf(getuid?.() === 0)("started as root", () => {
  test.for([
    [[], 65_534, 65_534],
    [["--runas", "1234"], 1234, 1234],
    [["--runas", "1234:567"], 1234, 567],
    [["--runas", "root"], 0, 0],
  ] as const)("%j: the process has the ids %i and %i", async ([options, uid, gid], { lab }) => {
    await using namespace = await lab.host.root.unshare(["net"]);
    const args = [...options, `${namespace.pid}`];
    await using pasta = await Background.start(lab, args, lab.host.root);
    expectConfined(pasta.pid, four(uid));
    expect(statusOf(pasta.pid).get("Gid")).toBe(four(gid));
    expect(await namespace.output(["ip", "-oneline", "-4", "address"])).toMatch(/ scope global /);
  });

  test("a user that does not exist is refused, and a COMMAND for another", async ({ lab }) => {
    const start = (...args: string[]) =>
      lab.host.root.run([lab.host.program("pasta"), ...quiet, "-P", pidFileOf(lab), ...args]);
    await using namespace = await lab.host.root.unshare(["net"]);
    const refused = [
      await start("--runas", "nosuch", `${namespace.pid}`),
      await start("--runas", "1:", `${namespace.pid}`),
      await start("--runas", "1", "true"),
    ];
    for (const { code, stderr } of refused) {
      expect(code).toBe(1);
      expect(stderr).toMatch(/^pasta: Invalid --runas option: [^\n]+\n$/);
    }
    expect((await start("--runas", "0", "true")).code).toBe(0);
  });
});

describe("attacked from inside", () => {
  // The lock-down is that of the background, which has a PID namespace besides.
  test("every attempt fails on every thread, and the relay keeps working", async ({
    lab,
    annotate,
  }) => {
    const victim = lab.host.user.spawn(["sleep", "infinity"]);
    await using namespace = await lab.host.namespace();
    const file = pidFileOf(lab);
    const program = attacked(lab, installAttack(lab, "attacked-pasta"), "pasta", victim);
    const pasta = lab.host.user.spawn([
      ...program,
      ...[...quiet, "-f", "-P", file, "-c", join(lab.directory, "attacked.sock")],
      `${namespace.pid}`,
    ]);
    await expect.poll(async () => (await lab.host.user.run(["cat", file])).stdout).toMatch(/\n/);
    const threads = readdirSync(`/proc/${pasta.pid}/task`).map(Number);
    pasta.kill("SIGUSR2");
    for (const line of await expectStopped(pasta, threads)) await annotate(line);
    const page = ["curl", "-sS", "--max-time", "5", "-o", "/dev/null", `http://${served.http}/`];
    expect((await namespace.run(page)).code).toBe(0);
    expect(victim.running).toBe(true);
    victim.kill("SIGKILL");
    pasta.kill("SIGTERM");
    expect((await pasta.ended(10_000)).code).toBe(0);
  });
});
