import { join } from "node:path";
import { markedProcesses } from "../lab/census.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import { type Process, stateOf } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    await user.ok("network", "create", "joint");
    onCleanup(() => user[Symbol.asyncDispose]());
    return user;
  })
  .runIf(isSlipway);

/** What a program sees of where it is. */
const look = [
  "sh",
  "-c",
  `readlink /proc/self/ns/net; uname -n; id -u
   grep nameserver /etc/resolv.conf; tail -n 1 /etc/hosts; exit 3`,
];

let serial = 4400;

/** Prints what it sees and stays; its child of a name of its own is found among all processes. */
function staying(): { readonly argv: readonly string[]; pid(lab: Lab): number } {
  serial += 1;
  const name = `sleep ${serial}`;
  return {
    argv: ["sh", "-c", `sh -c '${look[2]}'; echo here; exec ${name}`],
    pid: (lab) => markedProcesses(lab.id).find((each) => each.command === `${name} `)?.pid ?? 0,
  };
}

/** What a program that prints `look` sees there. */
async function seenBy(process: Process): Promise<string> {
  await process.printed(/here\n/);
  return process.stdout.replace("here\n", "");
}

async function beside(user: DaemonUser, target: string | number): Promise<string> {
  const outcome = await user.command("run", "--network", `container:${target}`, "--", ...look);
  expect(outcome).toMatchObject({ code: 3, stderr: "" });
  return outcome.stdout;
}

/** R, S, Z or another of proc_pid_stat(5). */
/** A namespace as `unshare -Urn` makes it, with no mounts of its own. */
function bare(lab: Lab): Promise<HeldNamespace> {
  return lab.host.user.unshare(["user", "net"], ["--map-root-user"]);
}

describe("--network container: gives COMMAND", () => {
  test("a member that is a run, by name and by the PID of slipway run", async ({ lab, user }) => {
    const command = staying();
    const run = user.run("--network", "joint", "--name", "db", "--", ...command.argv);
    const seen = await seenBy(run);
    expect(seen).toMatch(/\ndb\n0\nnameserver 10\.[^\n]*\n10\.\S+\tdb\n/);
    for (const target of ["db", run.pid, `/proc/${run.pid}/ns/net`, command.pid(lab)]) {
      expect(await beside(user, target), `${target}`).toBe(seen);
    }
    run.kill("SIGTERM");
    await run.ended(10_000);
  });

  test("a run with its own guest, by the PID of slipway run", async ({ lab, user }) => {
    const command = staying();
    const run = user.run("--hostname", "alone", "--", ...command.argv);
    const seen = await seenBy(run);
    expect(seen).toContain("\nalone\n0\nnameserver 10.0.2.3\n");
    for (const target of [run.pid, command.pid(lab)]) {
      expect(await beside(user, target)).toBe(seen);
    }
    run.kill("SIGTERM");
    await run.ended(10_000);
  });

  test("the user it keeps", async ({ user }) => {
    const command = staying();
    const run = user.run("--keep-id", "--network", "none", "--", ...command.argv);
    const seen = await seenBy(run);
    expect(await beside(user, run.pid)).toBe(seen);
    run.kill("SIGTERM");
    await run.ended(10_000);
  });

  test("a namespace without mounts of its own, by PID, as a member, and by a file", async ({
    lab,
    user,
  }) => {
    const namespace = await bare(lab);
    const seen = (await namespace.run(look)).stdout;
    const file = join(lab.directory, "bare.netns");
    await lab.host.root.shell(`touch ${file}; mount --bind /proc/${namespace.pid}/ns/net ${file}`);
    await user.ok("network", "connect", "joint", `${namespace.pid}`, "--name", "bare");
    for (const target of ["bare", namespace.pid, `/proc/${namespace.pid}/ns/net`, file]) {
      expect(await beside(user, target), `${target}`).toBe(seen);
    }
    await user.ok("network", "disconnect", "joint", "bare");
    await user.ok("network", "connect", "joint", file, "--name", "by-file");
    expect(await beside(user, "by-file")).toBe(seen);
    // Now there is only the file; the user namespace that owns it is entered first.
    await namespace.release();
    expect(await beside(user, file)).toBe(seen);
    // And now not even that.
    await lab.host.root.shell(`umount ${file}; rm ${file}`);
    expect(await user.refusal("run", "--network", "container:by-file", "--", "true")).toBe(
      `1 slipway: ${file}, the namespace of member by-file, cannot be opened from here: name a process in it instead`,
    );
  });

  test("a container with mounts, hostname and processes of its own", async ({ lab, user }) => {
    const command = staying();
    const container = lab.host.user.spawn([
      ...["unshare", "--user", "--map-root-user", "--net", "--mount", "--uts", "--ipc"],
      ...["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc"],
      `hostname pod; mount -t tmpfs tmpfs /mnt; cd /mnt
       echo nameserver 192.0.2.77 > resolv.conf; mount --bind resolv.conf "$(readlink -f /etc/resolv.conf)"
       echo 192.0.2.78 pod > hosts; mount --bind hosts /etc/hosts
       cd /; exec "$@"`,
      ...["sh", ...command.argv],
    ]);
    const seen = await seenBy(container);
    expect(seen).toContain("\npod\n0\nnameserver 192.0.2.77\n192.0.2.78 pod\n");
    expect(await beside(user, command.pid(lab))).toBe(seen);
    container.kill("SIGKILL");
    await container.exit;
  });

  test("the directory that slipway is started in", async ({ lab, user }) => {
    const run = user.run("--network", "none", "--", ...staying().argv);
    await seenBy(run);
    const script = `cd /usr/lib && exec "$0" run --network container:${run.pid} -- readlink /proc/self/cwd`;
    const command = ["sh", "-c", script, lab.host.slipwayPath];
    expect(await lab.host.user.output(command, { env: user.env })).toBe("/usr/lib\n");
    run.kill("SIGTERM");
    await run.ended(10_000);
  });

  test("or says in one line what is wrong", async ({ lab, user }) => {
    const { pid } = await bare(lab);
    const ended = await bare(lab);
    await ended.release();
    // Whoever became sleep does not wait for its child, which ends after that.
    const child = "until grep -q sleep /proc/$PPID/comm; do sleep 0.02; done";
    const script = `sh -c '${child}' & echo $!; exec sleep 4390`;
    const holder = lab.host.user.spawn(["sh", "-c", script]);
    await holder.printed(/\n/);
    const zombie = Number(holder.stdout);
    await expect.poll(() => stateOf(zombie)).toBe("Z");
    const gone = `process ${ended.pid} does not exist: give the PID of a running process`;
    const table = [
      [
        "nobody",
        "there is no member nobody: slipway ps shows all members, slipway status all runs",
      ],
      ["1", "not permitted to read the namespaces of process 1: run slipway as its user"],
      [`${ended.pid}`, gone],
      [`${zombie}`, `process ${zombie} does not exist: give the PID of a running process`],
      [`/proc/${ended.pid}/ns/net`, gone],
      [
        `${holder.pid}`,
        `process ${holder.pid} is in the same network as slipway: use --network host`,
      ],
      ["/nonexistent", "/nonexistent does not exist: give a file such as /proc/PID/ns/net"],
      ["/etc/hosts", "/etc/hosts is not a network namespace: give a file such as /proc/PID/ns/net"],
      [
        `/proc/${pid}/ns/user`,
        `/proc/${pid}/ns/user is not a network namespace: give a file such as /proc/PID/ns/net`,
      ],
    ];
    for (const [target, sentence] of table) {
      const said = await user.refusal("run", "--network", `container:${target}`, "--", "true");
      expect(said).toBe(`1 slipway: ${sentence}`);
    }
  });
});

describe("the exit status of what cannot be executed", () => {
  const modes = ["slirp", "none", "host", "bridge", "container"] as const;
  const cases = [
    ["nosuchprog", "127 slipway: command nosuchprog not found: check its name, or install it"],
    [
      "/nowhere/prog",
      "127 slipway: command /nowhere/prog not found: check its name, or install it",
    ],
    [
      "/etc/passwd",
      "126 slipway: command /etc/passwd is not executable (EACCES): check its mode: ls -l",
    ],
    ["/etc", "126 slipway: command /etc is not executable (EACCES): check its mode: ls -l"],
  ];

  test.for(modes)("says why, with --network %s", async (mode, { lab, user }) => {
    const network = mode === "container" ? `container:${(await bare(lab)).pid}` : mode;
    for (const [program, said] of cases) {
      expect(await user.refusal("run", "--network", network, "--", program)).toBe(said);
    }
  });

  test("COMMAND gets the descriptors and ignored signals of slipway, with --network host", async ({
    lab,
    user,
  }) => {
    const script = `trap '' HUP; exec "$0" run --network host -- sh -c 'kill -HUP $$; cat <&5' 5</proc/self/comm`;
    const command = ["sh", "-c", script, lab.host.slipwayPath];
    expect(await lab.host.user.output(command, { env: user.env })).toBe("sh\n");
  });
});
