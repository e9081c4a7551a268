import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { httpName } from "../lab/addresses.ts";
import { ready } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Process } from "../lab/process.ts";
import { helper, isSlipway } from "../lab/product.ts";
import { apiGuest, ask, userDirectory } from "./api-client.ts";
import { describe, expect, test } from "./fixture.ts";

// Each way in which a network may end, or must not end: docs/man.
const ours = test.runIf(isSlipway);

async function reachesWorld(namespace: HeldNamespace): Promise<boolean> {
  const outcome = await namespace.run(["curl", "-sS", "-m", "20", `http://${httpName}/`]);
  return outcome.code === 0;
}

async function connected(lab: Lab, ...args: string[]): Promise<Process> {
  const process = lab.host.helper(["-c", "-r", "3", ...args, "tap0"], { pipes: [3] });
  await ready(process, 3);
  return process;
}

describe("a namespace's file", () => {
  /** A namespace whose file is mounted as `ip netns` and podman do it. */
  async function mounted(lab: Lab): Promise<{ namespace: HeldNamespace; file: string }> {
    const namespace = await lab.host.namespace();
    const file = join(await userDirectory(lab), `netns.${namespace.pid}`);
    await lab.host.root.shell(`touch ${file}; mount --bind /proc/${namespace.pid}/ns/net ${file}`);
    return { namespace, file };
  }

  ours("ends the network when it is removed and that was wanted", async ({ lab }) => {
    const { namespace, file } = await mounted(lab);
    const process = await connected(lab, "--exit-with-netns", "--netns-type=path", file);
    await lab.host.root.shell(`touch ${file}.other; rm ${file}.other`);
    expect(await reachesWorld(namespace)).toBe(true);
    await lab.host.root.shell(`umount ${file}; rm ${file}`);
    expect((await process.ended(10_000)).code).toBe(0);
    await namespace.release();
  });

  ours(
    "does not end it otherwise: podman unmounts first and sends SIGTERM then",
    async ({ lab }) => {
      const { namespace, file } = await mounted(lab);
      const process = await connected(lab, "--netns-type=path", file);
      await lab.host.root.shell(`umount ${file}; rm ${file}`);
      expect(await reachesWorld(namespace)).toBe(true);
      process.kill("SIGTERM");
      expect((await process.ended(10_000)).code).toBe(0);
      await namespace.release();
    },
  );

  ours("ends it with its process where it is one's", async ({ lab }) => {
    const namespace = await lab.host.namespace();
    const file = `/proc/${namespace.pid}/ns/net`;
    const process = await connected(lab, "--exit-with-netns", "--netns-type=path", file);
    await namespace.release();
    expect((await process.ended(10_000)).code).toBe(0);
  });
});

describe("a process", () => {
  ours("whose number is used again at once is not taken for its successor", async ({ lab }) => {
    // In a PID namespace of its own the next number can be chosen: ns_last_pid of pid_namespaces(7).
    const script = `
      unshare --net sleep 1000 & first=$!
      "$0" attach --no-ipv6 --ready-fd 5 $first 5>ready & slipway=$!
      until grep -q 1 ready 2>/dev/null; do sleep 0.05; done
      kill -STOP $slipway
      kill -9 $first; wait $first || true
      for attempt in $(seq 100); do
        echo $((first - 1)) > /proc/sys/kernel/ns_last_pid
        unshare --net sleep 1000 & second=$!
        [ $second -eq $first ] && break
        kill -9 $second
      done
      [ $second -eq $first ] && echo reused
      kill -CONT $slipway
      wait $slipway; echo "ended with $?"
      kill -0 $second && echo "the successor lives"
      kill -9 $second`;
    const directory = await userDirectory(lab);
    const { stdout, stderr } = await lab.host.user.run([
      ...["env", `--chdir=${directory}`],
      ...[
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
      ],
      ...["bash", "-c", script, lab.host.slipwayPath],
    ]);
    expect(stdout.split("\n").slice(1), stderr).toEqual(
      expect.arrayContaining(["reused", "ended with 0", "the successor lives"]),
    );
  });

  test("that has already ended is an error, and leaves nothing", async ({ lab }) => {
    const dead = lab.host.user.spawn(["true"]);
    await dead.exit;
    const process = lab.host.helper(["-c", `${dead.pid}`, "tap0"]);
    const { code, stderr } = await process.ended(10_000);
    expect(code).toBe(1);
    if (isSlipway) expect(stderr).toMatch(/process \d+ does not exist: give the PID/);
  });
});

describe("the parent", () => {
  ours(
    "ends the helper by its parent-death signal, as RootlessKit and buildah set it",
    async ({ lab }) => {
      await using namespace = await lab.host.namespace();
      const command = [lab.host.stage.inside(helper), "-c", `${namespace.pid}`, "tap0"];
      const parent = lab.host.user.spawn([
        ...["bash", "-c", 'setpriv --pdeathsig KILL "$@" & wait', "bash"],
        ...command,
      ]);
      await parent.printed(/Starting slirp/);
      await expect.poll(() => tapIn(namespace)).toBe(true);
      parent.kill("SIGKILL");
      await expect.poll(() => tapIn(namespace)).toBe(false);
    },
  );

  // slirp4netns 1.2 stays after its target has ended.
  ours("may end before the helper otherwise, as podman does", async ({ lab }) => {
    const namespace = await lab.host.namespace();
    const command = [lab.host.stage.inside(helper), "-c", `${namespace.pid}`, "tap0"];
    const parent = lab.host.user.spawn([
      ...["bash", "-c", '"$@" >/dev/null 2>&1 </dev/null & exit 0', "bash"],
      ...command,
    ]);
    expect((await parent.ended(10_000)).code).toBe(0);
    await expect.poll(() => reachesWorld(namespace)).toBe(true);
    await namespace.release();
    await expect.poll(() => tapHolders(lab, namespace.pid)).toBe("");
  });
});

describe("signals", () => {
  ours.for(["SIGHUP", "SIGINT", "SIGTERM"] as const)(
    "%s ends the network in order",
    async (signal, { lab }) => {
      await using api = await apiGuest(lab, {});
      const { guest, socket } = api;
      guest.helper.kill(signal);
      const { code, stderr } = await guest.helper.ended(10_000);
      expect([code, stderr]).toEqual([0, ""]);
      expect((await lab.host.user.run(["test", "-e", socket])).code).toBe(1);
      await expect.poll(() => tapIn(guest.namespace)).toBe(false);
    },
  );

  ours("SIGUSR1 ends nothing and opens no debugger", async ({ lab }) => {
    await using guest = await lab.guest();
    guest.helper.kill("SIGUSR1");
    expect(await reachesWorld(guest.namespace)).toBe(true);
    expect(await lab.host.root.output(["ss", "-Hltn", "sport = :9229"])).toBe("");
  });

  ours("SIGPIPE, and a reader of stdout that is gone, end nothing", async ({ lab }) => {
    await using guest = await lab.guest();
    guest.helper.child.stdout?.destroy();
    guest.helper.child.stderr?.destroy();
    guest.helper.kill("SIGPIPE");
    await delay(100);
    expect(await reachesWorld(guest.namespace)).toBe(true);
  });
});

ours(
  "a client of the API that dies in the middle of a request leaves no trace",
  async ({ lab }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const request = JSON.stringify({
      execute: "add_hostfwd",
      arguments: { proto: "tcp", host_port: 20_000, guest_port: 20_000, count: 700 },
    });
    const before = guest.helper.openDescriptors();
    for (let cut = 20; cut < request.length; cut += 20) {
      const client = lab.host.user.spawn(["socat", "-u", "STDIN", `UNIX-CONNECT:${socket}`], {
        stdin: "pipe",
      });
      client.child.stdin?.write(request.slice(0, cut));
      await delay(20);
      client.kill("SIGKILL");
      await client.exit;
    }
    expect(await ask(lab, socket, { execute: "list_hostfwd" })).toMatchObject({ entries: [] });
    await expect.poll(() => guest.helper.openDescriptors()).toBe(before);
    expect(await reachesWorld(guest.namespace)).toBe(true);
  },
);

ours("a full disk costs lines of the log, which are counted, and no traffic", async ({ lab }) => {
  const directory = join(await userDirectory(lab), "small");
  await lab.host.root.shell(`
    mkdir -p -m 1777 ${directory}
    mount -t tmpfs -o size=64k,mode=1777 tmpfs ${directory}
  `);
  const file = join(directory, "log");
  const unlimited = ["--max-log-lines", "1000000"];
  const form = ["--log-level", "debug", "--log-format", "json"];
  const options = ["--log-file", file, ...form, ...unlimited];
  await using api = await apiGuest(lab, { options });
  const { guest, socket } = api;
  await lab.host.user.shell(`cat /dev/zero > ${directory}/filler 2>/dev/null || true`);
  const list = { execute: "list_hostfwd" };
  // The rest of the last page is filled, too.
  for (let count = 0; count < 100; count += 1) await ask(lab, socket, list);
  expect(await reachesWorld(guest.namespace)).toBe(true);
  await lab.host.user.shell(`rm ${directory}/filler`);
  await ask(lab, socket, list);
  const text = await lab.host.user.shell(`cat ${file}`);
  const lines = text
    .trimEnd()
    .split("\n")
    .filter((line) => line.endsWith("}"));
  const messages = lines.map((line) => JSON.parse(line) as { msg: string });
  expect(messages[0].msg).toMatch(/^tap0 is up/);
  expect(messages.map(({ msg }) => msg)).toContainEqual(
    expect.stringMatching(/^\d+ lines could not be written \(ENOSPC\)$/),
  );
  expect(messages.at(-1)?.msg).toBe('API: "list_hostfwd"');
});

describe.each(["pipe", "socket"] as const)("a stderr that is a %s that nobody reads", (kind) => {
  ours("costs lines, and neither traffic nor answers; how many is told later", async ({ lab }) => {
    const directory = await userDirectory(lab);
    const [fifo, socket] = [join(directory, "stderr"), join(directory, `unread-${kind}.sock`)];
    // Opened for reading and writing, it has a reader, which never reads.
    const reader = lab.host.user.spawn([
      "bash",
      "-c",
      `mkfifo ${fifo}; exec sleep 1000 9<>${fifo}`,
    ]);
    await expect.poll(() => lab.host.user.shell(`test -p ${fifo}`).then(() => true)).toBe(true);
    const program = lab.host.stage.inside(helper);
    const piped = ["bash", "-c", `exec "$@" 2>${fifo}`, "bash", program];
    await using guest = await lab.guest({
      helper: kind === "pipe" ? piped : [program],
      options: ["-a", socket, "--log-level=debug", "--max-log-lines=1000000"],
    });
    // The lab gives its processes a socket to write to.
    const { stderr } = guest.helper.child;
    stderr?.pause();
    // Each causes a line of 3 kB; a pipe holds 64, a socket 208 including its overhead.
    const long = { execute: "x".repeat(3_000) };
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 10 }, () => ask(lab, socket, long)));
    }
    expect(await ask(lab, socket, { execute: "list_hostfwd" })).toMatchObject({ entries: [] });
    expect(await reachesWorld(guest.namespace)).toBe(true);
    stderr?.resume();
    if (kind === "socket") {
      const told = async () => {
        await ask(lab, socket, { execute: "list_hostfwd" });
        return guest.helper.stderr;
      };
      await expect.poll(told).toMatch(/ lines could not be written \(EAGAIN\)/);
    }
    reader.kill("SIGKILL");
    await lab.host.user.shell(`rm ${fifo}`);
  });
});

ours("the last line of stderr is the reason, and of the log too", async ({ lab }) => {
  const file = join(await userDirectory(lab), "reason");
  await using namespace = await lab.host.namespace();
  await namespace.shell("ip tuntap add name tap0 mode tun");
  const args = ["-c", "--log-file", file, `${namespace.pid}`, "tap0"];
  const { code, stderr } = await lab.host.helper(args).ended(10_000);
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(/^slirp4netns: tap0 .* is not a TAP.*\n$/),
  ]);
  expect(await lab.host.user.shell(`tail -n 1 ${file}`)).toMatch(/fatal: tap0 .* is not a TAP/);
  const nowhere = await lab.host.helper(["--log-file", "/none/x", "1", "tap0"]).ended(10_000);
  expect([nowhere.code, nowhere.stderr]).toEqual([
    1,
    expect.stringMatching(/^slirp4netns: --log-file \/none\/x cannot be written \(ENOENT\): give/),
  ]);
});

ours("--macaddress is the TAP's Ethernet address, and is announced", async ({ lab }) => {
  const mac = "02:00:5e:10:00:01";
  await using guest = await lab.guest({ options: [`--macaddress=${mac}`] });
  expect(await guest.namespace.output(["ip", "link", "show", "tap0"])).toContain(`ether ${mac}`);
  await guest.helper.printed(/^\* MAC address: {5}02:00:5e:10:00:01$/m);
  expect(await reachesWorld(guest.namespace)).toBe(true);
});

async function tapIn(namespace: HeldNamespace): Promise<boolean> {
  return (await namespace.output(["ip", "-oneline", "link"])).includes("tap0");
}

/** Processes of the host's user that serve the namespace of a process. */
async function tapHolders(lab: Lab, pid: number): Promise<string> {
  const { stdout } = await lab.host.user.run(["pgrep", "-f", `slirp4netns -c ${pid} tap0`]);
  return stdout;
}
