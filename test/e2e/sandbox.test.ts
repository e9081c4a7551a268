import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { httpName, served } from "../lab/addresses.ts";
import type { Guest } from "../lab/guest.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import { isOpenToTests, type Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { attacked, expectStopped, installAttack } from "./attacked-process.ts";
import { DaemonUser } from "./daemon-user.ts";
import { describe, expect, test } from "./fixture.ts";

/** The lines of `/proc/PID/task/TID/status` for a thread without any rights. */
const NOTHING = "0000000000000000";

/** Fields of a /proc/…/status. */
function statusOf(path: string): Map<string, string> {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return new Map(lines.map((line) => line.split(":\t", 2) as [string, string]));
}

/** Expects every thread of a process to have no capability, no_new_privs and a filter. */
function expectConfined(pid: number, capabilities = NOTHING, hasBounding = false): void {
  const threads = readdirSync(`/proc/${pid}/task`);
  for (const thread of threads) {
    const status = statusOf(`/proc/${pid}/task/${thread}/status`);
    const where = `thread ${thread} (${status.get("Name")})`;
    for (const set of ["CapInh", "CapAmb"]) expect(status.get(set), where).toBe(NOTHING);
    if (!hasBounding) expect(status.get("CapBnd"), where).toBe(NOTHING);
    for (const set of ["CapPrm", "CapEff"]) expect(status.get(set), where).toBe(capabilities);
    expect(status.get("NoNewPrivs"), where).toBe("1");
    expect(status.get("Seccomp"), where).toBe("2");
  }
}

/** Expects the root of a process to be empty and read-only, and to be its working directory. */
function expectEmptyRoot(pid: number): void {
  expect(readdirSync(`/proc/${pid}/root/`)).toEqual([]);
  expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
  const mounts = readFileSync(`/proc/${pid}/mounts`, "utf8").trimEnd().split("\n");
  expect(mounts).toEqual([expect.stringMatching(/^\S+ \/ tmpfs ro,nosuid,nodev,noexec,/)]);
}

/** The targets of a process's descriptors, by number; numbers in names are removed. */
function descriptorsOf(pid: number): Map<number, string> {
  const fds = readdirSync(`/proc/${pid}/fd`).map(Number);
  return new Map(
    fds.map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+/g, "N")] as const),
  );
}

/** The keeper of a process: its child. */
function keeperOf(pid: number): number {
  const [keeper] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
  return Number(keeper);
}

/** A command that prints a page of the world, in the guest. */
const fetchPage = ["curl", "-sS", "--max-time", "5", `http://${served.http}/`];

const inside = new Set([
  "/dev/net/tun",
  "/dev/null",
  "anon_inode:[eventfd]",
  "anon_inode:[eventpoll]",
  "anon_inode:[pidfd]",
  "pidfd:[N]",
  "pipe:[N]",
  "socket:[N]",
]);

describe.runIf(isSlipway)("seen from outside", () => {
  test.runIf(isOpenToTests)(
    "the helper has no rights, an empty root, and only what it relays with",
    async ({ lab }) => {
      await using guest = await lab.guest({ ipv6: true });
      const { pid } = guest.helper;
      expectConfined(pid);
      expectEmptyRoot(pid);
      const descriptors = descriptorsOf(pid);
      expect(descriptors.get(0)).toBe("/dev/null");
      expect([...descriptors.values()].filter((what) => !inside.has(what))).toEqual([]);
      expect(readFileSync(`/proc/${pid}/maps`, "utf8")).not.toMatch(/io_uring|\/etc|\.ts|\.cjs/);
      expect((await guest.run(["ping", "-c1", "-W20", served.services])).code).toBe(0);
    },
  );

  test.runIf(isOpenToTests)(
    "the keeper has at most two descriptors, and nothing else",
    async ({ lab }) => {
      const socket = join(lab.directory, "keeper.sock");
      await using guest = await lab.guest({ options: ["--api-socket", socket] });
      const keeper = keeperOf(guest.helper.pid);
      expect(statusOf(`/proc/${keeper}/status`).get("Name")).toBe("slipway-keeper");
      // It stays in the user's own namespace, where only root may shrink the bounding set.
      expectConfined(keeper, NOTHING, true);
      expect(readdirSync(`/proc/${keeper}/fd`)).toEqual(["0", "1"]);
      expect(readlinkSync(`/proc/${keeper}/fd/1`)).toBe(lab.directory);
    },
  );

  test.runIf(isOpenToTests)("`run` is confined and its command is not", async ({ lab }) => {
    const process = lab.host.slipway(["run", "--", "sh", "-c", "echo here; read line"], {
      stdin: "pipe",
    });
    await process.printed(/here/);
    expectConfined(process.pid);
    expectEmptyRoot(process.pid);
    const own = [...descriptorsOf(process.pid).values()].filter((what) => !inside.has(what));
    // Its own and the command's, for the terminal's job control; opened before.
    expect(own).toEqual(["/proc/N/stat", "/proc/N/stat"]);
    const command = childrenOf(process.pid).find((pid) => pid !== keeperOf(process.pid));
    const status = statusOf(`/proc/${command}/status`);
    expect(status.get("NoNewPrivs")).toBe("0");
    expect(status.get("Seccomp")).toBe("0");
    process.child.stdin?.end("\n");
    expect((await process.ended(10_000)).code).toBe(0);
  });

  test("--no-sandbox leaves rights and root as they were", async ({ lab }) => {
    await using guest = await lab.guest({ options: ["--no-sandbox"] });
    const { pid } = guest.helper;
    expect(readdirSync(`/proc/${pid}/root/`)).toContain("etc");
    expect(statusOf(`/proc/${pid}/status`).get("Seccomp_filters")).toBe("1");
    expect((await guest.run(fetchPage)).code).toBe(0);
  });

  test("a daemon's network, which the launcher recognizes, always has the sandbox", async ({
    lab,
  }) => {
    const process = lab.host.slipway(["run", "echo", "--network", "x"]);
    const { code, stdout, stderr } = await process.ended(10_000);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(
      /^slipway: the sandbox is not prepared: write -- before COMMAND[^\n]*\n$/,
    );
  });

  test("it may open as many descriptors as allowed, and its command as many as before", async ({
    lab,
  }) => {
    const script = 'ulimit -S -n 300; ulimit -H -n 5000; exec "$@"';
    const process = lab.host.user.spawn(
      [
        ...["bash", "-c", script, "bash", lab.host.slipwayPath, "run", "--"],
        ...["bash", "-c", "echo soft $(ulimit -n); read line"],
      ],
      { stdin: "pipe" },
    );
    await process.printed(/soft 300\n/);
    const limits = readFileSync(`/proc/${process.pid}/limits`, "utf8");
    expect(limits).toMatch(/^Max open files +5000 +5000 /m);
    process.child.stdin?.end("\n");
    expect((await process.ended(10_000)).code).toBe(0);
  });

  test.runIf(isOpenToTests)("descriptors that nobody asked for are closed", async ({ lab }) => {
    await using namespace = await lab.host.namespace();
    const process = lab.host.user.spawn(
      ["sh", "-c", 'exec "$@" 7</etc', "sh", lab.host.slipwayPath, "attach", `${namespace.pid}`],
      {},
    );
    await process.printed(/is up/);
    expect([...descriptorsOf(process.pid).values()]).not.toContain("/etc");
    process.kill("SIGTERM");
    expect((await process.ended(10_000)).code).toBe(0);
  });
});

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
}

describe.runIf(isSlipway)("as root", () => {
  /** Root of the lab's host. Below a user namespace it is root of that. */
  async function attached(lab: Lab, options: string[]): Promise<[Process, HeldNamespace]> {
    const namespace = await lab.host.root.unshare(["net"]);
    const process = lab.host.root.spawn([
      ...[lab.host.slipwayPath, "attach", ...options, `${namespace.pid}`],
    ]);
    await process.printed(/is up/);
    return [process, namespace];
  }

  test("it gives up everything", async ({ lab }) => {
    const [process, namespace] = await attached(lab, ["--no-api-socket"]);
    expectConfined(process.pid);
    expectEmptyRoot(process.pid);
    expect((await namespace.run(fetchPage)).code).toBe(0);
    process.kill("SIGTERM");
    expect((await process.ended(10_000)).code).toBe(0);
    await namespace.release();
  });

  test("it keeps one capability for the API: low ports can be published later", async ({ lab }) => {
    const socket = join(lab.directory, "root.sock");
    const [process, namespace] = await attached(lab, ["--api-socket", socket]);
    const bindService = 1n << 10n;
    expectConfined(process.pid, bindService.toString(16).padStart(16, "0"));
    const low = { proto: "tcp", host_addr: "127.0.0.1", host_port: 81, guest_port: 80 };
    const answer = await lab.host.root.output(
      ["socat", "-t30", "STDIO", `UNIX-CONNECT:${socket}`],
      {
        input: JSON.stringify({ execute: "add_hostfwd", arguments: low }),
      },
    );
    expect(JSON.parse(answer)).toEqual({ return: { id: 1 } });
    process.kill("SIGTERM");
    expect((await process.ended(10_000)).code).toBe(0);
    await namespace.release();
  });
});

describe.runIf(isSlipway)("the daemon of networks", () => {
  test("keeps its files, and no other right; it still saves its state", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    for (const name of ["kept", "other"]) await user.ok("network", "create", name);
    const [, pid] = /"pid": *(\d+)/.exec(await user.ok("daemon", "status", "--json")) ?? [];
    expectConfined(Number(pid), NOTHING, true);
    // Threads that are started later inherit it.
    await user.member("kept", "first");
    await user.member("other", "second");
    const threads = readdirSync(`/proc/${pid}/task`).map((thread) =>
      statusOf(`/proc/${pid}/task/${thread}/status`).get("Name"),
    );
    const wanted = Math.min(2, availableParallelism());
    expect(threads.filter((name) => name === "slipway-network")).toHaveLength(wanted);
    expectConfined(Number(pid), NOTHING, true);
    const state = await lab.host.user.output(["cat", `${user.directory}/state.json`]);
    expect(state).toContain('"name":"kept"');
  });
});

describe.runIf(isSlipway)("without its keeper", () => {
  test("the network continues with the last resolv.conf, and one warning says so", async ({
    lab,
  }) => {
    await using guest = await lab.guest();
    const name = ["getent", "ahostsv4", httpName];
    expect(await guest.namespace.output(name)).toContain(served.http);
    process.kill(keeperOf(guest.helper.pid), "SIGKILL");
    for (let query = 0; query < 3; query += 1) {
      await delay(1_100);
      expect(await guest.namespace.output(name)).toContain(served.http);
    }
    expect(guest.helper.stderr).toMatch(
      /^slirp4netns: warning: \/etc\/resolv\.conf is not followed any more[^\n]*\n$/,
    );
  });
});

describe.runIf(isSlipway)("the API's socket", () => {
  test("is removed even if the helper is killed", async ({ lab }) => {
    const socket = join(lab.directory, "killed.sock");
    const guest = await lab.guest({ options: ["--api-socket", socket] });
    const there = () => readdirSync(lab.host.stage.outside(lab.directory)).includes("killed.sock");
    expect(there()).toBe(true);
    guest.helper.kill("SIGKILL");
    await guest.helper.exit;
    await expect.poll(there).toBe(false);
    await guest.namespace.release();
  });

  test("stays if it belongs to another process by then", async ({ lab }) => {
    const socket = join(lab.directory, "other.sock");
    await using guest = await lab.guest({ options: ["--api-socket", socket] });
    await lab.host.user.shell(`rm ${socket}; echo mine > ${socket}`);
    await guest.close();
    expect(await lab.host.user.output(["cat", socket])).toBe("mine\n");
  });
});

describe.runIf(isSlipway)("without user namespaces", () => {
  test("there is no empty root, but all the rest, and one warning says so", async ({ lab }) => {
    // In a namespace whose limit is used up; a user without capabilities, but with a guest.
    const script = `
      unshare --user --map-root-user --net setpriv --pdeathsig KILL sleep 60 &
      sleep 0.3
      echo 0 > /proc/sys/user/max_user_namespaces
      exec setpriv --inh-caps=-all --bounding-set=-all --no-new-privs -- "$0" attach $!
    `;
    const process = lab.host.user.spawn([
      ...["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-euc", script],
      lab.host.slipwayPath,
    ]);
    await process.printed(/is up/);
    expectConfined(process.pid);
    expect(process.stderr).toMatch(
      /^slipway: warning: the sandbox has no empty root \(userns, ENOSPC\)[^\n]*doctor[^\n]*\n$/,
    );
    expect(readdirSync(`/proc/${process.pid}/root/`)).toContain("etc");
    process.kill("SIGTERM");
    expect((await process.ended(10_000)).code).toBe(0);
  });
});

/** A guest whose helper is a copy of the product with the attacks in it, made by installAttack. */
function attackedGuest(lab: Lab, copy: string, victim: Process, lethal = 0): Promise<Guest> {
  return lab.guest({ helper: attacked(lab, copy, "slirp4netns", victim, lethal) });
}

/** Names of the attempts that end a process, by their number in attack.c. */
function lethalAttempts(lab: Lab, copy: string): string[] {
  const module = { exports: { lethal: (): string[] => [] } };
  process.dlopen(module, join(lab.host.stage.outside(copy), "dist/build/attack.node"));
  return module.exports.lethal();
}

/** How many guests are attacked at the same time. */
const AT_ONCE = 4;

describe.runIf(isSlipway)("attacked from inside", () => {
  test("every attempt fails on every thread, and the relay keeps working", async ({
    lab,
    annotate,
  }) => {
    const victim = lab.host.user.spawn(["sleep", "infinity"]);
    await using guest = await attackedGuest(lab, installAttack(lab, "attack"), victim);
    const { pid } = guest.helper;
    const threads = readdirSync(`/proc/${pid}/task`).map(Number);
    const pages = Promise.all([1, 2, 3].map(() => guest.run(fetchPage)));
    guest.helper.kill("SIGUSR2");
    for (const line of await expectStopped(guest.helper, threads)) await annotate(line);
    for (const { code } of await pages) expect(code).toBe(0);
    expect((await guest.run(fetchPage)).code).toBe(0);
    expect(victim.running).toBe(true);
    // After a trap the replacement works in the sandbox, too.
    guest.helper.kill("SIGWINCH");
    await expect.poll(async () => (await guest.run(fetchPage)).code).toBe(0);
    expect(guest.helper.stderr).toMatch(
      /the stack failed .* and was built again: its connections are reset/,
    );
    victim.kill("SIGKILL");
  });

  test("calls that only an attacker makes end the process before they take effect", async ({
    lab,
    annotate,
  }) => {
    const victim = lab.host.user.spawn(["sleep", "infinity"]);
    const copy = installAttack(lab, "lethal");
    const names = lethalAttempts(lab, copy);
    const endings: Record<string, string | null> = {};
    const attack = async (name: string, number: number): Promise<void> => {
      const { helper, namespace } = await attackedGuest(lab, copy, victim, number);
      helper.kill("SIGXFSZ");
      const { signal, stderr } = await helper.ended(30_000);
      endings[name] = `${signal}${stderr}`;
      await namespace.release();
    };
    const waiting = names.entries();
    const attackAll = async (): Promise<void> => {
      for (const [number, name] of waiting) await attack(name, number);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, attackAll));
    await annotate(`${names.length} attacks`);
    // Where the kernel or the processor has no such entry at all, the attempt faults: int 0x80.
    const others = Object.entries(endings).filter(
      ([name, ending]) => ending !== "SIGSYS" && !(name === "int80" && ending === "SIGSEGV"),
    );
    expect(others).toEqual([]);
    expect(Object.keys(endings)).toHaveLength(names.length);
    expect(victim.running).toBe(true);
    victim.kill("SIGKILL");
  });
});
