import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { httpName, served } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";
import { stateOf } from "../../lab/process.ts";
import { describe, expect, test } from "../fixture.ts";
import { Background, isRunning, pidFileOf, quiet } from "./background.ts";

/** Fields of proc_pid_stat(5) behind the name. */
function statOf(pid: number): readonly string[] {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return text.slice(text.lastIndexOf(")") + 2).split(" ");
}

/** Runs a pasta that fails. */
async function failure(lab: Lab, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.host.user.run([
    lab.host.program("pasta"),
    ...quiet,
    ...args,
  ]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^pasta: [^\n]+\n$/);
  return stderr;
}

describe("in the background", () => {
  test("the parent ends with 0 when the network is up, and says nothing", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await using pasta = await Background.start(lab, [`${namespace.pid}`]);
    expect(pasta.outcome).toMatchObject({ code: 0, stdout: "", stderr: "" });
    // Without waiting for anything: an address that is not usable yet would be told as tentative.
    const addresses = await namespace.output(["ip", "-oneline", "address"]);
    expect(addresses).toMatch(/ inet .* scope global /);
    expect(
      addresses
        .split("\n")
        .filter((line) => !line.includes("fe80:"))
        .join("\n"),
    ).not.toMatch(/tentative/);
    const page = await namespace.run(["curl", "-sS", "-m", "20", `http://${served.http}/`]);
    expect(page.code).toBe(0);
  });

  test("the pid file has the process that goes on, is for its owner, and ends with a newline", async ({
    lab,
  }) => {
    await using namespace = await lab.host.namespace();
    const file = pidFileOf(lab);
    await lab.host.user.output([
      ...[lab.host.program("pasta"), "--pid", file, ...quiet, `${namespace.pid}`],
    ]);
    const text = await lab.host.user.output(["cat", file]);
    expect(text).toMatch(/^\d+\n$/);
    expect(await lab.host.user.output(["stat", "-c", "%a %F", file])).toBe("600 regular file\n");
    expect((await lab.host.user.run(["kill", "-0", text.trim()])).code).toBe(0);
    expect((await lab.host.user.run(["kill", "-TERM", text.trim()])).code).toBe(0);
  });

  test("what an earlier pasta left in the pid file is replaced", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const file = pidFileOf(lab);
    await lab.host.user.output([
      "sh",
      "-c",
      `echo 12345678901234567890 > ${file}; chmod 644 ${file}`,
    ]);
    await lab.host.user.output([
      lab.host.program("pasta"),
      "-P",
      file,
      ...quiet,
      `${namespace.pid}`,
    ]);
    const pid = await lab.host.user.output(["cat", file]);
    expect(isRunning(Number(pid))).toBe(true);
    expect(await lab.host.user.output(["stat", "-c", "%a", file])).toBe("600\n");
    await lab.host.user.output(["kill", pid.trim()]);
  });

  test.for([[], ["-f"]])(
    "a pasta that fails (%j) leaves the pid file of another as it is",
    async (options, { lab }) => {
      const file = pidFileOf(lab);
      await lab.host.user.shell(`echo 12345 > ${file}`);
      await failure(lab, [...options, "-P", file, "--netns", "/nonexistent"]);
      expect(await lab.host.user.output(["cat", file])).toBe("12345\n");
    },
  );

  test("it leads a session of its own, and belongs to nobody that still runs", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await using pasta = await Background.start(lab, [`${namespace.pid}`]);
    const [, , group, session, terminal] = statOf(pasta.pid);
    expect([group, session, terminal]).toEqual([`${pasta.pid}`, `${pasta.pid}`, "0"]);
  });

  test("the caller's pipe and descriptors are free when the parent has ended", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    // As podman: stdout and stderr are one pipe, of which it reads until the end, and descriptors leak.
    const fifo = join(lab.directory, "leaked");
    const script = `mkfifo ${fifo}; sleep 60 <>${fifo} & exec 9<>${fifo}; out=$("$@" 2>&1); echo "read until the end: $out"; kill $!`;
    const file = pidFileOf(lab);
    const argv = [lab.host.program("pasta"), "-P", file, ...quiet, `${namespace.pid}`];
    const { code, stdout } = await lab.host.user.run(["sh", "-c", script, "sh", ...argv]);
    const pid = Number(await lab.host.user.output(["cat", file]));
    const isUp = isRunning(pid);
    const holders = await lab.host.root.run(["fuser", fifo]);
    await lab.host.user.output(["kill", `${pid}`]);
    expect({ code, stdout, isUp }).toEqual({
      code: 0,
      stdout: "read until the end: \n",
      isUp: true,
    });
    expect(holders.stdout).toBe("");
  });

  test.for(["TERM", "INT"])(
    "SIG%s to the number in the pid file ends it",
    async (signal, { lab }) => {
      await using namespace = await lab.host.namespace();
      const pasta = await Background.start(lab, [`${namespace.pid}`]);
      await pasta.signal(signal);
      await pasta.ended(5_000);
    },
  );

  test("SIGHUP does not end it", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    await using pasta = await Background.start(lab, [`${namespace.pid}`]);
    await pasta.signal("HUP");
    const page = await namespace.run(["curl", "-sS", "-m", "20", `http://${served.http}/`]);
    expect(page.code).toBe(0);
    expect(pasta.isRunning).toBe(true);
  });

  test("the parent ends with 1 when what it waits for is killed", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const file = pidFileOf(lab);
    // Node does not get far: its first file is a FIFO that nobody writes.
    const fifo = join(lab.directory, "node");
    await lab.host.user.output([
      "sh",
      "-c",
      `printf '#!/bin/sh\\nsleep 60\\n' > ${fifo}; chmod 755 ${fifo}`,
    ]);
    const env = { SLIPWAY_NODE: fifo };
    const parent = lab.host.user.spawn(
      [lab.host.program("pasta"), "-P", file, ...quiet, `${namespace.pid}`],
      {
        env,
      },
    );
    await delay(300);
    expect(parent.running).toBe(true);
    await lab.host.user.output(["pkill", "-KILL", "-f", `^/bin/sh ${fifo}`]);
    const { code, stderr } = await parent.ended(5_000);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "pasta: ended by signal 9 before the network was up\n",
    });
    await lab.host.user.run(["pkill", "-KILL", "-f", "^sleep 60"]);
  });
});

describe("in the foreground", () => {
  test("-f: one process, whose number is in the pid file; a signal ends it with 0", async ({
    lab,
  }) => {
    await using namespace = await lab.host.namespace();
    const file = pidFileOf(lab);
    const pasta = lab.host.user.spawn([
      lab.host.program("pasta"),
      "-f",
      "-P",
      file,
      "--config-net",
      `${namespace.pid}`,
    ]);
    await pasta.printed(/connected/);
    expect(Number(await lab.host.user.output(["cat", file]))).toBe(pasta.pid);
    pasta.kill("SIGHUP");
    expect(await pasta.ended(5_000)).toMatchObject({ code: 0, stdout: "" });
  });

  test("it is killed with its parent when the parent asks for that", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const file = pidFileOf(lab);
    // RootlessKit starts its helpers so.
    const script = `setpriv --pdeathsig KILL -- "$@" & wait`;
    const argv = [lab.host.program("pasta"), "-f", "-P", file, ...quiet, `${namespace.pid}`];
    const parent = lab.host.user.spawn(["sh", "-c", script, "sh", ...argv]);
    const pid = Number(await readWhenThere(lab, file));
    parent.kill("SIGKILL");
    await parent.exit;
    const deadline = performance.now() + 5_000;
    while (isRunning(pid) && performance.now() < deadline) await delay(10);
    expect(isRunning(pid)).toBe(false);
  });
});

async function readWhenThere(lab: Lab, file: string): Promise<string> {
  const script = `until test -s ${file}; do sleep 0.02; done; cat ${file}`;
  return lab.host.user.output(["sh", "-c", script]);
}

describe("a pid file that is refused", () => {
  test("a link", async ({ lab }) => {
    const file = pidFileOf(lab);
    await lab.host.user.output(["ln", "-s", join(lab.directory, "elsewhere"), file]);
    expect(await failure(lab, ["-P", file, "1"])).toContain(
      `Couldn't open PID file ${file}: Too many `,
    );
    expect((await lab.host.user.run(["ls", join(lab.directory, "elsewhere")])).code).not.toBe(0);
  });

  test("one with another name", async ({ lab }) => {
    const file = pidFileOf(lab);
    await lab.host.user.output([
      "sh",
      "-c",
      `echo precious > ${file}.other; ln ${file}.other ${file}`,
    ]);
    expect(await failure(lab, ["-P", file, "1"])).toContain(`Couldn't open PID file ${file}: `);
    expect(await lab.host.user.output(["cat", `${file}.other`])).toBe("precious\n");
  });

  test("one in a folder where others can replace it", async ({ lab }) => {
    const folder = `${pidFileOf(lab)}.d`;
    await lab.host.user.output(["mkdir", "-m", "777", folder]);
    expect(await failure(lab, ["-P", `${folder}/pid`, "1"])).toContain(
      `Couldn't open PID file ${folder}/pid: Operation not permitted`,
    );
  });

  test("one in a folder that does not exist", async ({ lab }) => {
    expect(await failure(lab, ["-P", "/nonexistent/pid", "1"])).toContain(
      "Couldn't open PID file /nonexistent/pid: No such file or directory",
    );
  });
});

describe("a target that is refused", () => {
  test("a process that does not exist", async ({ lab }) => {
    const text = await failure(lab, ["4194303"]);
    expect(text).toContain("Couldn't open");
    expect(text).toContain("No such file or directory");
  });

  test("a file that does not exist", async ({ lab }) => {
    expect(await failure(lab, ["--netns", "/nonexistent/netns"])).toContain(
      "Couldn't open network namespace /nonexistent/netns: No such file or directory",
    );
  });

  test("a namespace of another user's", async ({ lab }) => {
    await using namespace = await lab.host.root.unshare(["net"]);
    expect(await failure(lab, [`${namespace.pid}`])).toMatch(/Couldn't open|not permitted/);
    expect(stateOf(namespace.pid)).not.toBe("Z");
  });
});

test("in the background warnings go to the system's log", async ({ lab }) => {
  const dns = "169.254.1.1";
  await using namespace = await lab.host.namespace(dns);
  const socket = join(lab.directory, "log");
  const log = lab.host.user.spawn(["socat", "-u", `UNIX-RECV:${socket}`, "STDOUT"]);
  await lab.host.user.output(["sh", "-c", `until test -S ${socket}; do sleep 0.02; done`]);
  const devices = join(lab.directory, "dev");
  const user = lab.host.userAfter(`
    mkdir -p ${devices}
    mount -t tmpfs tmpfs ${devices}
    mkdir ${devices}/net
    for device in null net/tun urandom; do
      touch ${devices}/$device
      mount --bind /dev/$device ${devices}/$device
    done
    ln -s ${socket} ${devices}/log
    mount --rbind ${devices} /dev
  `);
  const args = ["--dns-forward", dns, `${namespace.pid}`];
  await using pasta = await Background.start(lab, args, user);
  const [, keeper = ""] =
    /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pasta.pid}/status`, "utf8")) ?? [];
  await lab.host.user.output(["kill", "-KILL", keeper]);
  const deadline = performance.now() + 15_000;
  while (log.stdout === "" && performance.now() < deadline) {
    await delay(300);
    await namespace.run(["getent", "ahostsv4", httpName]);
  }
  expect(log.stdout).toMatch(/^<28>pasta: warning: \/etc\/resolv\.conf is not followed any more/);
  log.kill("SIGTERM");
});
