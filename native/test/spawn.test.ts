import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
beforeAll(() => {
  subject = Subject.start();
});
afterAll(() => subject.stop());

/** What a shell script, as held child, writes, and how it ends. */
async function outcome(script: string, overrides: object = {}) {
  return await subject.run(
    async ({ native, reap, require }, script: string, overrides: object) => {
      const fs = require("node:fs") as typeof import("node:fs");
      const file = `/tmp/tuntap2-${process.pid}`;
      fs.writeFileSync(file, "");
      const { geteuid = () => 0, getegid = () => 0 } = process;
      const child = native.spawnHeld({
        file: "sh",
        argv: ["sh", "-c", `exec >${file} 2>&1\n${script}`],
        env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
        uid: geteuid(),
        gid: getegid(),
        insideUid: 0,
        insideGid: 0,
        resolvConf: null,
        keep: [],
        ignore: [],
        hidden: [],
        ...overrides,
      });
      if (typeof child === "number") return { result: child, ...native.lastError() };
      const released = native.releaseSpawned(child.control);
      const status = await reap(child.pidfd);
      const again = native.waitChild(child.pidfd);
      native.close(child.pidfd);
      const text = fs.readFileSync(file, "utf8");
      fs.unlinkSync(file);
      return { released, status, text, again };
    },
    script,
    overrides,
  );
}

const done = { released: 0, again: -10 /* ECHILD */ };

test("it runs as root of namespaces of its own, at the same position in the process tree", async () => {
  const [user, group, session] = await subject.run(({ require }) => {
    const fs = require("node:fs") as typeof import("node:fs");
    const fields = fs.readFileSync("/proc/self/stat", "utf8").split(" ");
    return [fs.readlinkSync("/proc/self/ns/user"), fields[4], fields[5]];
  });
  const { text, ...rest } = (await outcome(`
    id -u; id -g; pwd
    cat /proc/self/stat | cut -d' ' -f5,6
    cat /proc/self/setgroups
    ip -o link | wc -l
    readlink /proc/self/ns/user
  `)) as { text: string };
  const lines = text.trim().split("\n");
  expect(rest).toEqual({ ...done, status: 0 });
  expect(lines.slice(0, 6)).toEqual(["0", "0", "/", `${group} ${session}`, "deny", "1"]);
  expect(lines[6]).toMatch(/^user:/);
  expect(lines[6]).not.toBe(user);
});

test("it can keep its ids", async () => {
  const [uid, gid] = await subject.run(() => [process.geteuid?.() ?? 0, process.getegid?.() ?? 0]);
  const seen = await outcome("id -u; id -g", { insideUid: uid, insideGid: gid });
  expect(seen).toEqual({ ...done, status: 0, text: `${uid}\n${gid}\n` });
});

test("it has its own resolv.conf, which nobody else sees", async () => {
  const [before, after] = [
    await subject.run(({ require }) => require("node:fs").readFileSync("/etc/resolv.conf", "utf8")),
    await outcome("cat /etc/resolv.conf; stat -Lc %a /etc/resolv.conf; pwd; ls / | grep -c etc", {
      resolvConf: "nameserver 203.0.113.3\n",
    }),
  ];
  expect(after).toMatchObject({ text: "nameserver 203.0.113.3\n644\n/\n1\n" });
  expect(before).not.toContain("203.0.113.3");
  const still = await subject.run(({ require }) =>
    require("node:fs").readFileSync("/etc/resolv.conf", "utf8"),
  );
  expect(still).toBe(before);
});

test("it has hosts and hostname of its own, each only if it was given", async () => {
  const files = { resolvConf: "resolv\n", hosts: "hosts\n", hostnameFile: "name\n" };
  const script = "cat /etc/resolv.conf /etc/hosts /etc/hostname; pwd";
  expect(await outcome(script, files)).toMatchObject({ text: "resolv\nhosts\nname\n/\n" });
  const [host] = await subject.run(({ require }) => [
    (require("node:fs") as typeof import("node:fs")).readFileSync("/etc/hosts", "utf8"),
  ]);
  const one = await outcome("cat /etc/resolv.conf /etc/hosts", { resolvConf: "resolv\n" });
  expect(one).toMatchObject({ text: `resolv\n${host}` });
});

test("a resolv.conf can cover a symbolic link, and its length is bounded", async () => {
  const linked = Subject.start({
    inside: `mount -t tmpfs none /etc; mkdir /etc/run
      echo old > /etc/run/stub; ln -s run/stub /etc/resolv.conf`,
  });
  const result = await linked.run(({ native, require, reap }) => {
    const fs = require("node:fs") as typeof import("node:fs");
    const options = {
      file: "/bin/grep",
      argv: ["grep", "-q", "new", "/etc/resolv.conf"],
      env: [],
      uid: 0,
      gid: 0,
      insideUid: 0,
      insideGid: 0,
      resolvConf: "new",
      keep: [],
      ignore: [],
      hidden: [],
    };
    const child = native.spawnHeld(options);
    if (typeof child === "number") throw new Error(`${child} ${native.lastError().step}`);
    native.releaseSpawned(child.control);
    return reap(child.pidfd).then((status) => {
      const long = native.spawnHeld({ ...options, resolvConf: "#".repeat(65537) });
      fs.rmSync("/etc/resolv.conf");
      const missing = native.spawnHeld(options);
      return { status, long, missing, ...native.lastError() };
    });
  });
  await linked.stop();
  expect(result).toEqual({
    status: 0,
    long: -7, // E2BIG
    missing: -2, // ENOENT
    step: "resolv-conf",
    path: "/etc/resolv.conf",
  });
});

test("its signals are at their defaults, whatever Node did to them", async () => {
  await subject.run(() => {
    process.on("SIGHUP", () => undefined);
  });
  const { text } = (await outcome("grep -E '^Sig(Blk|Ign)' /proc/self/status")) as { text: string };
  expect(text).toBe("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
});

test("its end is reported: exit, signal, stop", async () => {
  expect(await outcome("exit 7")).toMatchObject({ ...done, status: 7 });
  expect(await outcome("kill -TERM $$")).toMatchObject({ ...done, status: 256 + 15 });
  const statuses = await subject.run(async ({ native, hold, reap }) => {
    const child = hold("kill -STOP $$; exit 3");
    const held = native.waitChild(child.pidfd);
    native.releaseSpawned(child.control);
    const stopped = await reap(child.pidfd);
    native.pidfdSignal(child.pidfd, 18); // SIGCONT
    const exited = await reap(child.pidfd);
    const late = native.pidfdSignal(child.pidfd, 15);
    native.close(child.pidfd);
    return { held, stopped, exited, late };
  });
  expect(statuses).toEqual({ held: -11, stopped: 512 + 19, exited: 3, late: -3 }); // EAGAIN, ESRCH
});

describe("a command that cannot be executed", () => {
  test.each([
    ["is not in PATH", "no-such-command", -2], // ENOENT
    ["is not in an empty PATH", "sh", -2],
    ["is not executable", "/etc/passwd", -13], // EACCES
    ["is a folder", "/", -13],
  ])("%s", async (_, file, result) => {
    const seen = await outcome("", { file, env: ["PATH=/nonexistent"] });
    expect(seen).toMatchObject({ released: result, status: 127 });
  });
});

test("a child whose control socket is closed ends, also while another is held", async () => {
  const status = await subject.run(async ({ native, hold, reap }) => {
    const child = hold("echo never");
    const other = hold("echo never");
    native.close(child.control);
    const status = await reap(child.pidfd);
    const again = native.close(child.control);
    native.close(other.control);
    await reap(other.pidfd);
    native.close(child.pidfd);
    native.close(other.pidfd);
    return { status, again };
  });
  expect(status).toEqual({ status: 127, again: -9 }); // EBADF
});

test("a child killed while held is reported by its status", async () => {
  const seen = await subject.run(async ({ native, hold, reap }) => {
    const child = hold("echo never");
    native.pidfdSignal(child.pidfd, 9);
    const status = await reap(child.pidfd);
    const released = native.releaseSpawned(child.control);
    native.close(child.pidfd);
    return { status, released };
  });
  expect(seen).toEqual({ status: 256 + 9, released: -32 }); // EPIPE
});

test("it dies with its parent", async () => {
  const doomed = Subject.start();
  const pid = await doomed.run(({ native, hold }) => {
    const child = hold("exec sleep 60");
    native.releaseSpawned(child.control);
    return child.pid;
  });
  const ended = doomed.ended();
  doomed.signal("SIGKILL");
  await ended;
  const alive = () => {
    try {
      return process.kill(pid, 0);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EPERM";
    }
  };
  await expect.poll(alive).toBe(false);
});

describe("where it cannot be made", () => {
  test("user namespaces are forbidden", async () => {
    const other = Subject.start({ inside: "echo 0 > /proc/sys/user/max_user_namespaces" });
    const failure = await other.run(({ native, hold, require }) => {
      const fs = require("node:fs") as typeof import("node:fs");
      const count = () => fs.readdirSync("/proc/self/fd").length;
      const before = count();
      let thrown = "";
      try {
        hold("true");
      } catch (error) {
        thrown = String(error);
      }
      return { thrown, step: native.lastError().step, left: count() - before };
    });
    await other.stop();
    expect(failure).toEqual({
      thrown: "Error: spawnHeld: -28 at unshare ", // ENOSPC
      step: "unshare",
      left: 0,
    });
  });

  test("an id that is not ours", async () => {
    expect(await outcome("true", { uid: 12345 })).toEqual({
      result: -1, // EPERM
      step: "uid-map",
      path: "/proc/self/uid_map",
    });
    expect(await outcome("true", { gid: 12345 })).toMatchObject({ result: -1, step: "gid-map" });
  });

  test("text with a NUL", async () => {
    expect(await outcome("true", { file: "tr\0ue" })).toMatchObject({ result: -22 }); // EINVAL
  });
});
