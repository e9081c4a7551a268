import { readFileSync } from "node:fs";
import { kill } from "node:process";
import { markedProcesses } from "../lab/census.ts";
import type { Lab } from "../lab/lab.ts";
import type { Outcome, Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { userDirectory } from "./api-client.ts";
import { DaemonUser } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// No peer has this command.
const test = base.runIf(isSlipway);

/** How COMMAND is connected: each enters its namespaces in its own way. */
const connections = [
  ["alone", []],
  ["on a network", ["--network", "bridge"]],
  ["without a network", ["--network", "none"]],
] as const;

/** How a command inside is refused that needs the daemon. */
const WITHOUT_DAEMON =
  /^1 slipway: commands inside slipway run cannot use the daemon, as \S+\/slipway is covered there: run them outside of it\n$/;

const NO_SUCH_PROCESS = "no such process";

/** Runs a shell script as COMMAND, by a user with a daemon of his own. */
async function inside(
  lab: Lab,
  options: readonly string[],
  script: string,
  ...args: string[]
): Promise<Outcome> {
  await using user = await DaemonUser.create(lab);
  return await user.run(...options, "--", "sh", "-c", script, "sh", ...args).ended(30_000);
}

/** A process of the same user, outside. */
async function bystander(lab: Lab): Promise<Process> {
  const process = lab.host.user.spawn(["sh", "-c", "echo here; exec sleep 1000"]);
  await process.printed(/here/);
  return process;
}

describe("processes", () => {
  /** An attacker's steps: first he unmounts what covers /proc. */
  const look = `umount --lazy /proc 2>/dev/null
    test -e /proc/$1 && echo seen
    kill -0 $1 && echo reached`;

  test.for(connections)("COMMAND %s sees none of the host's", async ([, options], { lab }) => {
    const { pid } = await bystander(lab);
    const { stdout, stderr } = await inside(lab, options, look, `${pid}`);
    expect(stdout).toBe("");
    expect(stderr.toLowerCase()).toContain(NO_SUCH_PROCESS);
    const listed = await inside(lab, options, "cd /proc; ls -d [0-9]*; cat self/stat");
    // The first and the shell; then its child.
    expect(listed.stdout).toMatch(/^1\n2\n\d+ \(cat\) R 2 /);
  });

  test.for(connections)("COMMAND %s sees all by --pid host", async ([, options], { lab }) => {
    const { pid } = await bystander(lab);
    const { stdout, stderr } = await inside(lab, [...options, "--pid", "host"], look, `${pid}`);
    expect({ stdout, stderr }).toEqual({ stdout: "seen\nreached\n", stderr: "" });
  });

  /** How a run ends; the third leaves it to COMMAND, which goes on without what it has started. */
  const endings = [
    ["is killed", (run: Process) => run.kill("SIGKILL")],
    ["is told to", (run: Process) => run.kill("SIGTERM")],
    ["loses its keeper, and is killed", loseKeeper],
  ] as const;

  function loseKeeper(run: Process): void {
    const { pid } = run;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    const keeper = children.find(
      (each) => readFileSync(`/proc/${each}/comm`, "utf8") === "slipway-keeper\n",
    );
    if (keeper !== undefined) kill(Number(keeper), "SIGKILL");
    run.kill("SIGKILL");
  }

  const ofConnections = connections.flatMap(([how, options]) =>
    [[], ["--pid", "host"]].map(
      (pids) => [`${how} ${pids.join(" ")}`, [...options, ...pids]] as const,
    ),
  );

  test.for(ofConnections)("end with the run of COMMAND %s", async ([, options], { lab }) => {
    await using user = await DaemonUser.create(lab);
    const sleepers = () =>
      markedProcesses(lab.id).filter(({ command }) => /^sleep 433\d $/.test(command));
    const outside = await bystander(lab);
    const beside = user.run(...options, "--", "sh", "-c", "echo up; exec sleep 4340");
    await beside.printed(/up/);
    for (const [how, end] of endings) {
      const start = "setsid sleep 4330 & (setsid sh -c 'sleep 4331 & exec sleep 4332' &)";
      const run = user.run(...options, "--", "sh", "-c", `${start}; echo up; exec sleep 4333`);
      await run.printed(/up/);
      await expect.poll(sleepers, { message: how }).toHaveLength(4);
      end(run);
      await run.exit;
      await expect.poll(sleepers, { message: how }).toEqual([]);
    }
    const left = user.run(...options, "--", "sh", "-c", "setsid sleep 4330 & exit 7");
    expect(await left.ended(10_000)).toMatchObject({ code: 7 });
    expect(sleepers()).toEqual([]);
    // The user's other processes go on, also those of other runs.
    expect([outside.running, beside.running]).toEqual([true, true]);
    beside.kill("SIGKILL");
    await beside.exit;
  });

  test("the first one is closed to COMMAND, and does not end", async ({ lab }) => {
    const script = `for each in mem maps environ exe fd/0 ns/user ns/mnt; do
        head -c 1 /proc/1/$each >/dev/null 2>&1 && echo /proc/1/$each
        readlink /proc/1/$each
      done
      kill -KILL 1; kill -STOP 1; kill -TERM 1; sleep 0.1; echo still here`;
    const { code, stdout } = await inside(lab, [], script);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "still here\n" });
  });

  test.for(connections)(
    "those that COMMAND %s leaves behind end with it",
    async ([, options], { lab }) => {
      const left = () => markedProcesses(lab.id).filter((p) => p.command === "sleep 4323 ");
      const script = "setsid sleep 4323 >/dev/null 2>&1 & echo $!";
      const { code, stdout } = await inside(lab, options, script);
      expect({ code, left: left() }).toEqual({ code: 0, left: [] });
      expect(Number(stdout)).toBeLessThan(10);
    },
  );

  test("orphans are reaped while COMMAND runs", async ({ lab }) => {
    const script = `for i in 1 2 3 4 5 6 7 8; do (sleep 0.1 & ); done
      while pgrep sleep >/dev/null; do :; done
      cat /proc/[0-9]*/stat | grep -c ') Z '`;
    expect((await inside(lab, [], script)).stdout).toBe("0\n");
  });
});

describe("the environment", () => {
  const spellings = [
    ["alone", ["-it", "--rm"]],
    ["on a network", ["--net", "bridge", "--network-alias", "db"]],
    ["without a network", ["--net=none"]],
    ["on the host's network", ["--net", "host"]],
  ] as const;

  test.for(spellings)(
    "COMMAND %s gets variables of -e and --env-file",
    async ([, options], { lab }) => {
      const file = `${await userDirectory(lab)}/env`;
      await lab.host.user.shell(`printf '# names\\nA=file\\n\\n B=two words \\nHOME\\n' > ${file}`);
      const variables = [
        "--env-file",
        file,
        "-e",
        "A=1",
        "-e",
        "C=",
        "-e",
        "XDG_RUNTIME_DIR=/nowhere",
      ];
      const script = 'echo "$A|$B|$C|$XDG_RUNTIME_DIR|$HOME"; exec env';
      const { stdout, stderr } = await inside(lab, [...options, ...variables], script);
      const [line, ...all] = stdout.split("\n");
      expect(stderr).toBe("");
      expect(line).toMatch(/^1\|two words \|\|\/nowhere\|\//);
      expect(all.filter((each) => /^(A|SLIPWAY_PARKED_.*)=/.test(each))).toEqual(["A=1"]);
    },
  );

  test.for(spellings)("COMMAND %s begins in --workdir", async ([, options], { lab }) => {
    const directory = await userDirectory(lab);
    const { stdout, stderr } = await inside(lab, [...options, "-w", directory], "pwd; ls -d .");
    expect([stdout, stderr]).toEqual([`${directory}\n.\n`, ""]);
    const missing = await inside(lab, [...options, "--workdir", "/nowhere"], "echo began");
    expect([missing.code, missing.stdout]).toEqual([1, ""]);
    expect(missing.stderr).toBe(
      'slipway: --workdir "/nowhere": COMMAND cannot begin there (ENOENT): check the path\n',
    );
  });

  test("a file that is no list of variables is refused", async ({ lab }) => {
    const file = `${await userDirectory(lab)}/wrong`;
    await lab.host.user.shell(`echo 'a b=1' > ${file}`);
    for (const [name, message] of [
      [file, /--env-file .*: "a b=1": write it like NAME=value$/],
      ["/nowhere", /--env-file \/nowhere: cannot be read \(ENOENT\): check the path$/],
    ] as const) {
      const { code, stderr } = await inside(lab, ["--env-file", name], "true");
      expect([code, stderr.trim()]).toEqual([1, expect.stringMatching(message)]);
    }
  });
});

describe("other namespaces", () => {
  test.for(connections)("COMMAND %s has its own IPC namespace", async ([, options], { lab }) => {
    const made = await lab.host.user.output(["ipcmk", "-M", "4096"]);
    const [id = ""] = /\d+/.exec(made) ?? [];
    const attack = "ipcs -m -i $1; ipcrm -m $1 && echo removed; ipcmk -M 64";
    const { stdout } = await inside(lab, options, attack, id);
    expect(stdout).not.toMatch(/removed|bytes=4096/);
    // COMMAND's went with its namespace; the user's is still there.
    expect(await lab.host.user.output(["ipcs", "-m", "-i", id])).toContain("bytes=4096");
    await lab.host.user.output(["ipcrm", "-m", id]);
  });

  test("a hostname set by COMMAND is its own; until then it is the host's", async ({ lab }) => {
    const before = await lab.host.user.output(["uname", "-n"]);
    const { stdout } = await inside(lab, [], "uname -n; hostname elsewhere; uname -n");
    expect(stdout).toBe(`${before}elsewhere\n`);
    expect(await lab.host.user.output(["uname", "-n"])).toBe(before);
  });

  test("all of them can be entered together, also with --network container:", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    const script = "echo $(readlink /proc/self/ns/pid); exec sleep 4324";
    const process = user.run("--hostname", "entered", "--", "sh", "-c", script);
    await process.printed(/pid:/);
    const sleepers = () => markedProcesses(lab.id).filter((p) => p.command === "sleep 4324 ");
    await expect.poll(sleepers).toHaveLength(1);
    const [found] = sleepers();
    const look = "uname -n; readlink /proc/self/ns/pid; ip -o link show tap0 | cut -c1-8; exit 3";
    const all = ["--user", "--mount", "--uts", "--ipc", "--net", "--pid", "--preserve-credentials"];
    const ways = [
      ["nsenter", "--target", `${found?.pid}`, ...all],
      [lab.host.slipwayPath, "run", "--network", `container:${found?.pid}`],
    ];
    for (const way of ways) {
      const command = [...way, "--", "sh", "-c", look];
      const { code, stdout, stderr } = await lab.host.user.run(command, { env: user.env });
      expect({ code, stderr }).toEqual({ code: 3, stderr: "" });
      expect(stdout).toBe(`entered\n${process.stdout}2: tap0:\n`);
    }
    process.kill("SIGTERM");
    await process.ended(10_000);
  });
});

describe("Slipway's own sockets", () => {
  /** Which of these paths are sockets, once everything removable is unmounted; and whether they answer. */
  const probe = `for each; do
      umount --lazy $each $(dirname $each) 2>/dev/null
      test -S $each && echo seen $each
      curl --silent --unix-socket $each --max-time 5 http://localhost/
      test $? = 7 || echo answered $each
    done`;

  test.for(connections)(
    "COMMAND %s finds neither the daemon's nor its own",
    async ([, options], { lab }) => {
      await using user = await DaemonUser.create(lab);
      await user.ok("network", "create", "there");
      const elsewhere = `${user.directory}.sock`;
      const own = options.length === 0 ? ["--api-socket", elsewhere] : [];
      const paths = [
        `${user.directory}/daemon/api.sock`,
        `${user.directory}/daemon/launchers.sock`,
      ];
      const command = ["--", "sh", "-c", `${probe}; ls -A $0; touch $0/x`, user.directory];
      const process = user.run(...options, ...own, ...command, ...paths, elsewhere);
      const { stdout, stderr } = await process.ended(60_000);
      expect(stdout).toBe("");
      expect(stderr).toContain("Read-only file system");
    },
  );

  test("COMMAND finds no daemon that starts later", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    const socket = `${user.directory}/daemon/api.sock`;
    const script = `echo here; read line; ${probe}`;
    const process = lab.host.slipway(
      ["run", "--no-api-socket", "--", "sh", "-c", script, "sh", socket],
      {
        env: user.env,
        stdin: "pipe",
      },
    );
    await process.printed(/here/);
    await user.ok("network", "create", "later");
    process.child.stdin?.end("\n");
    expect((await process.ended(30_000)).stdout).toBe("here\n");
  });

  test.for(connections)("COMMAND %s finds them with --api-inside", async ([, options], { lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "there");
    const socket = `${user.directory}/daemon/api.sock`;
    const process = user.run(...options, "--api-inside", "--", "test", "-S", socket);
    expect(await process.ended(30_000)).toMatchObject({ code: 0, stderr: "" });
  });

  test("COMMAND publishes a port with --api-inside, and not without", async ({ lab }) => {
    const ask = 'exec "$1" port add 127.0.0.1:8099:80';
    const program = lab.host.slipwayPath;
    const { code, stdout } = await inside(lab, ["--api-inside"], ask, program);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "published 127.0.0.1:8099 → 80/tcp\n" });
    expect(await inside(lab, [], ask, program)).toMatchObject({ code: 1, stdout: "" });
  });

  test("COMMAND is not told of members that it cannot see when it publishes a port", async ({
    lab,
  }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("daemon", "start");
    const command = [lab.host.slipwayPath, "port", "add", "127.0.0.1:8098:80"];
    const { code, stderr } = await user.run("--api-inside", "--", ...command).ended(30_000);
    expect([code, stderr]).toEqual([0, ""]);
  });

  test("a run inside a run has no API socket", async ({ lab }) => {
    const path = lab.host.slipwayPath;
    const { code, stdout, stderr } = await inside(
      lab,
      [],
      `exec ${path} run -- ip -o link show tap0`,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("tap0");
  });

  test("a run on a network inside a run reports what it lacks", async ({ lab }) => {
    const path = lab.host.slipwayPath;
    const { code, stderr } = await inside(lab, [], `exec ${path} run --network bridge -- true`);
    expect(`${code} ${stderr}`).toMatch(WITHOUT_DAEMON);
  });

  test("a command that asks the daemon says that it cannot, and starts none", async ({ lab }) => {
    const path = lab.host.slipwayPath;
    const { code, stderr } = await inside(lab, [], `${path} network ls; ${path} daemon start`);
    const [first, second] = stderr.split("\n");
    expect([`1 ${first}\n`, `${code} ${second}\n`]).toEqual(
      Array(2).fill(expect.stringMatching(WITHOUT_DAEMON)),
    );
  });
});

describe("if parts of /proc are masked", () => {
  /** As container engines do it. A daemon started there can only be stopped from there. */
  async function masked(lab: Lab, ...args: string[]): Promise<Outcome> {
    await using user = await DaemonUser.create(lab);
    const mask = `mount --bind /dev/null /proc/version
      "$0" run "$@"; status=$?; "$0" daemon stop >/dev/null 2>&1; exit $status`;
    const namespaces = ["unshare", "--user", "--map-root-user", "--mount"];
    const command = [...namespaces, "sh", "-c", mask, lab.host.slipwayPath, ...args];
    return lab.host.user.run(command, { env: user.env });
  }

  test.for(connections)(
    "COMMAND %s sees the host's processes, with one warning",
    async ([, options], { lab }) => {
      const { pid } = await bystander(lab);
      const script = "test -e /proc/$0 && echo seen; readlink /proc/self/ns/uts; exit 9";
      const command = ["--", "sh", "-c", script, `${pid}`];
      const { code, stdout, stderr } = await masked(lab, ...options, ...command);
      expect(stdout, stderr).toMatch(/^seen\nuts:/);
      expect(`${code} ${stderr}`).toMatch(
        /^9 [^\n]*sees the host's processes[^\n]*--pid host[^\n]*\n$/,
      );
      const silent = await masked(lab, ...options, "--pid", "host", ...command);
      expect(silent).toMatchObject({ code: 9, stderr: "" });
    },
  );
});
