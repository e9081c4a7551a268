import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { served } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";
import type { HeldNamespace, Namespace } from "../../lab/namespace.ts";
import { describe, expect, test } from "../fixture.ts";
import { Background, isRunning, pidFileOf } from "./background.ts";

/** Ample: it ends within milliseconds, and pasta within 2 s. */
const PATIENCE = 5_000;

/** Root of a user namespace, as a container engine has it: with mounts of its own, and the host's processes and network. */
function engineOf(lab: Lab): Promise<HeldNamespace> {
  return lab.host.user.unshare(["user", "mount"], ["--map-root-user"]);
}

/** A network namespace that only a file keeps. */
async function netnsFile(lab: Lab, engine: Namespace): Promise<string> {
  const file = `${pidFileOf(lab)}.netns`;
  await engine.shell(`touch ${file}; unshare --net mount --bind /proc/self/ns/net ${file}`);
  return file;
}

async function reachesWorld(engine: Namespace, netns: string): Promise<number | null> {
  const fetch = ["curl", "-sS", "-m", "20", `http://${served.http}/`];
  return (await engine.run(["nsenter", `--net=${netns}`, ...fetch])).code;
}

describe("as root of an engine's user namespace", () => {
  test("the namespace of a file is connected, and removing the file ends pasta", async ({
    lab,
  }) => {
    await using engine = await engineOf(lab);
    const file = await netnsFile(lab, engine);
    const pasta = await Background.start(lab, ["--netns", file], engine);
    expect(await reachesWorld(engine, file)).toBe(0);
    await engine.shell(`umount ${file}; rm ${file}`);
    await pasta.ended(PATIENCE);
  });

  test("putting another in the file's place ends it", async ({ lab }) => {
    await using engine = await engineOf(lab);
    const file = await netnsFile(lab, engine);
    const other = await netnsFile(lab, engine);
    const pasta = await Background.start(lab, ["--netns", file], engine);
    await engine.shell(`umount ${file}; umount ${other}; mv ${other} ${file}`);
    await pasta.ended(PATIENCE);
  });

  test("other files of the folder may come and go, and --no-netns-quit stays", async ({ lab }) => {
    await using engine = await engineOf(lab);
    const file = await netnsFile(lab, engine);
    const args = ["--netns", file];
    await using pasta = await Background.start(lab, args, engine);
    await engine.shell(`touch ${file}.x; mv ${file}.x ${file}.y; rm ${file}.y`);
    await using stays = await Background.start(
      lab,
      ["-I", "tap9", "--no-netns-quit", ...args],
      engine,
    );
    await delay(300);
    expect(pasta.isRunning).toBe(true);
    await engine.shell(`umount ${file}; rm ${file}`);
    await pasta.ended(PATIENCE);
    expect(stays.isRunning).toBe(true);
  });

  test("the end of the process whose /proc/PID/ns/net it was ends it", async ({ lab }) => {
    await using engine = await engineOf(lab);
    await using namespace = await engine.unshare(["net"]);
    const pasta = await Background.start(lab, ["--netns", `/proc/${namespace.pid}/ns/net`], engine);
    await namespace.release();
    await pasta.ended(PATIENCE);
  });
});

describe("as the plain user", () => {
  test("the end of the process that was named ends it", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const pasta = await Background.start(lab, [`${namespace.pid}`]);
    await namespace.release();
    await pasta.ended(PATIENCE);
  });

  test("a file below the root of a process: its end, or the file's", async ({ lab }) => {
    // As RootlessKit's --detach-netns: the file is in mounts of its own.
    for (const end of ["file", "process"] as const) {
      await using kit = await lab.host.user.unshare(["user", "mount"], ["--map-root-user"]);
      await kit.shell("mount -t tmpfs tmpfs /mnt");
      await kit.shell("touch /mnt/netns; unshare --net mount --bind /proc/self/ns/net /mnt/netns");
      const [userns, netns] = [`/proc/${kit.pid}/ns/user`, `/proc/${kit.pid}/root/mnt/netns`];
      const pasta = await Background.start(lab, [`--userns=${userns}`, `--netns=${netns}`]);
      expect(await reachesWorld(kit, "/mnt/netns")).toBe(0);
      if (end === "process") await kit.release();
      else await kit.shell("umount /mnt/netns; rm /mnt/netns");
      await pasta.ended(PATIENCE);
    }
  });

  test("killed by SIGKILL it leaves no process, and another can take its place", async ({
    lab,
  }) => {
    await using namespace = await lab.host.namespace();
    const first = await Background.start(lab, [`${namespace.pid}`]);
    const keeper = parentOf(first.pid);
    await first.signal("KILL");
    await first.ended(PATIENCE);
    const deadline = performance.now() + PATIENCE;
    while (isRunning(keeper) && performance.now() < deadline) await delay(5);
    expect(isRunning(keeper)).toBe(false);
    await using second = await Background.start(lab, [`${namespace.pid}`]);
    expect(second.isRunning).toBe(true);
  });

  test("it goes on when its keeper is killed", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await using pasta = await Background.start(lab, [`${namespace.pid}`]);
    const keeper = parentOf(pasta.pid);
    await lab.host.user.output(["kill", "-KILL", `${keeper}`]);
    const page = await namespace.run(["curl", "-sS", "-m", "20", `http://${served.http}/`]);
    expect(page.code).toBe(0);
    expect(pasta.isRunning).toBe(true);
  });
});

function parentOf(pid: number): number {
  const [, parent] = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(parent);
}
