import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { httpName, served } from "../lab/addresses.ts";
import { markedProcesses } from "../lab/census.ts";
import type { Lab } from "../lab/lab.ts";
import type { Outcome, Process } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { test as base, describe, expect } from "./fixture.ts";

// No peer has this command.
const test = base.runIf(isSlipway);

function run(lab: Lab, options: readonly string[], ...command: string[]): Promise<Outcome> {
  return lab.host.slipway(["run", ...options, "--", ...command]).ended(30_000);
}

describe("the command", () => {
  test("reaches the world by name", async ({ lab }) => {
    const sha256 = await lab.world.http.addFile("file", 1_000_000);
    const pipeline = `curl --silent --show-error http://${httpName}/file | sha256sum`;
    const outcome = await run(lab, [], "sh", "-c", pipeline);
    expect(outcome).toMatchObject({ code: 0, stderr: "" });
    expect(outcome.stdout.slice(0, 64)).toBe(sha256);
  });

  test("finds Slipway's DNS in resolv.conf; the host's file is not changed", async ({ lab }) => {
    const before = await lab.host.user.output(["cat", "/etc/resolv.conf"]);
    const { stdout } = await run(lab, [], "cat", "/etc/resolv.conf");
    expect(stdout).toMatch(/^nameserver 10\.0\.2\.3$/m);
    expect(await lab.host.user.output(["cat", "/etc/resolv.conf"])).toBe(before);
  });

  test("reads Slipway's stdin and writes its stdout and stderr", async ({ lab }) => {
    const script = "cat; echo to stderr >&2";
    const process = lab.host.slipway(["run", "--", "sh", "-c", script], { stdin: "pipe" });
    process.child.stdin?.end("from stdin");
    const outcome = await process.ended(10_000);
    expect(outcome).toMatchObject({ code: 0, stdout: "from stdin", stderr: "to stderr\n" });
  });

  test("inherits only the descriptors that Slipway was given", async ({ lab }) => {
    const given = await lab.host.user.output(["ls", "/proc/self/fd"]);
    const { stdout } = await run(lab, [], "ls", "/proc/self/fd");
    expect(stdout).toBe(given);
  });

  test("reads a file that the shell opened for it", async ({ lab }) => {
    const script = `"${lab.host.slipwayPath}" run -- sh -c 'cat <&5' 5</proc/self/comm`;
    expect(await lab.host.user.output(["sh", "-c", script])).toBe("sh\n");
  });

  test("ignores the signals that Slipway ignores, as under nohup", async ({ lab }) => {
    const inside = "kill -HUP $$; echo still here";
    const script = `trap '' HUP; exec "${lab.host.slipwayPath}" run -- sh -c '${inside}'`;
    expect(await lab.host.user.output(["sh", "-c", script])).toBe("still here\n");
  });

  test("may run set-uid programs: no_new_privs stays off", async ({ lab }) => {
    const { stdout } = await run(lab, [], "grep", "NoNewPrivs", "/proc/self/status");
    expect(stdout).toMatch(/:\s0\n$/);
  });

  test("runs in another user's environment, as after su", async ({ lab }) => {
    const other = `${lab.directory}/other`;
    await lab.host.root.shell(`mkdir -m 0700 ${other}`);
    const env = { XDG_RUNTIME_DIR: other };
    const command = [lab.host.slipwayPath, "run"];
    expect(await lab.host.user.run([...command, "true"], { env })).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(await lab.host.user.run([...command, "--name", "a", "true"], { env })).toMatchObject({
      code: 1,
      stderr: "slipway: --name needs a directory of yours to be found in: set XDG_RUNTIME_DIR\n",
    });
  });

  test("keeps its environment", async ({ lab }) => {
    const process = lab.host.slipway(["run", "--", "sh", "-c", 'echo "$NODE_OPTIONS $KEPT"'], {
      env: { KEPT: "yes", NODE_OPTIONS: "--no-such-option" },
    });
    const outcome = await process.ended(10_000);
    expect(outcome).toMatchObject({ code: 0, stdout: "--no-such-option yes\n" });
  });
});

describe("options", () => {
  test("--mtu, --cidr and --tap set MTU, network and name", async ({ lab }) => {
    const options = ["--mtu", "9000", "--cidr", "172.30.0.0/20", "--tap", "net0"];
    const { stdout } = await run(lab, options, "ip", "address", "show", "net0");
    expect(stdout).toContain(" mtu 9000 ");
    expect(stdout).toContain("inet 172.30.0.100/20 ");
  });

  test("without --keep-id the user is root inside", async ({ lab }) => {
    expect((await run(lab, [], "sh", "-c", "id -u; id -g")).stdout).toBe("0\n0\n");
  });

  test("--keep-id keeps uid and gid", async ({ lab }) => {
    const outside = await lab.host.user.output(["sh", "-c", "id -u; id -g"]);
    expect((await run(lab, ["--keep-id"], "sh", "-c", "id -u; id -g")).stdout).toBe(outside);
  });

  test("the host's loopback is closed", async ({ lab }) => {
    await using listener = await lab.host.agent.listen("127.0.0.1");
    const url = `http://10.0.2.2:${listener.endpoint.port}/`;
    const couldNotConnect = 7;
    expect((await run(lab, [], "curl", "-sS", "-m", "20", url)).code).toBe(couldNotConnect);
  });

  test("--host-loopback opens it", async ({ lab }) => {
    await using listener = await lab.host.agent.listen("127.0.0.1");
    const url = `http://10.0.2.2:${listener.endpoint.port}/hello`;
    const command = run(lab, ["--host-loopback"], "curl", "-sS", "-m", "20", url);
    const connection = await listener.accept();
    expect(await connection.read(10)).toBe("GET /hello");
    await connection.write("HTTP/1.0 200 OK\r\n\r\nhello");
    await connection.end();
    expect(await command).toMatchObject({ code: 0, stdout: "hello" });
  });
});

describe("the exit status", () => {
  test.for([0, 1, 42, 255])("is the command's: %i", async (status, { lab }) => {
    expect(await run(lab, [], "sh", "-c", `exit ${status}`)).toMatchObject({ code: status });
  });

  test.for([
    ["KILL", 137],
    ["TERM", 143],
    ["INT", 130],
  ] as const)("of a command ended by SIG%s is %i", async ([signal, status], { lab }) => {
    const outcome = await run(lab, [], "sh", "-c", `kill -${signal} $$; sleep 10`);
    expect(outcome).toMatchObject({ code: status, signal: null });
  });
});

describe("signals", () => {
  test.for(["SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1", "SIGUSR2"] as const)(
    "%s passes to the command, which decides",
    async (signal, { lab }) => {
      const name = signal.slice(3);
      const script = `trap 'echo got ${name}; exit 3' ${name}; echo ready; while :; do sleep 0.1; done`;
      const process = lab.host.slipway(["run", "--", "sh", "-c", script]);
      await process.printed(/ready/);
      process.kill(signal);
      expect(await process.ended(10_000)).toMatchObject({
        code: 3,
        stdout: `ready\ngot ${name}\n`,
      });
    },
  );

  test("the command does not outlive Slipway", async ({ lab }) => {
    const sleepers = () => markedProcesses(lab.id).filter((p) => p.command === "sleep 4321 ");
    const process = lab.host.slipway(["run", "--", "sleep", "4321"]);
    await expect.poll(sleepers).toHaveLength(1);
    process.kill("SIGKILL");
    await process.exit;
    await expect.poll(sleepers).toHaveLength(0);
  });
});

describe("on a terminal", () => {
  /** A shell of the user on its own terminal, with `slipway` as the command. */
  async function terminal(lab: Lab, shell: string): Promise<Process> {
    const process = lab.host.user.spawn(
      ["script", "--quiet", "--return", "--command", shell, "/dev/null"],
      { stdin: "pipe", env: { slipway: lab.host.slipwayPath } },
    );
    type(process, "echo shell-$((1+1))\n");
    await process.printed(/shell-2/);
    return process;
  }

  function type(process: Process, keys: string): void {
    process.child.stdin?.write(keys);
  }

  /** Types ^Z until it takes effect: the program may not have taken the terminal yet. */
  async function suspend(process: Process): Promise<void> {
    for (let attempt = 0; !process.stdout.includes("Stopped"); attempt += 1) {
      if (attempt === 50) throw new Error(`not stopped: ${process.describe()}`);
      type(process, "\x1a");
      await delay(200);
    }
  }

  /** Types ^C until the shell reads again: the program may not have taken the terminal yet. */
  async function interrupt(process: Process): Promise<void> {
    for (let attempt = 0; !process.stdout.includes("back-2"); attempt += 1) {
      if (attempt === 50) throw new Error(`not interrupted: ${process.describe()}`);
      type(process, "\x03");
      await delay(200);
      type(process, "echo back-$((1+1))\n");
      await delay(200);
    }
  }

  const shell = "bash --norc -i";

  test("a shell inside has job control", async ({ lab }) => {
    const process = await terminal(lab, `"$slipway" run -- ${shell}`);
    // The terminal discards unread input typed before ^Z: wait until it is read.
    type(process, "echo sleeping-$((1+1)); sleep 100\n");
    await process.printed(/sleeping-2/);
    await suspend(process);
    type(process, "jobs\n");
    await process.printed(/\[1\]\+\s+Stopped\s+sleep 100/);
    type(process, "fg\n");
    await process.printed(/fg\s+sleep 100/);
    await interrupt(process);
    type(process, "exit 7\n");
    expect((await process.ended(10_000)).code).toBe(7);
    expect(process.stdout).not.toContain("no job control");
  });

  test("the shell outside can stop it, continue it and interrupt it", async ({ lab }) => {
    const process = await terminal(lab, shell);
    type(process, `"$slipway" run -- sh -c 'echo inside-$((1+1)); exec sleep 100'\n`);
    await process.printed(/inside-2/);
    await suspend(process);
    type(process, "fg; echo status-$((0+$?))\n");
    // Unread input typed before ^C is discarded: fg has run once it prints its command.
    await process.printed(/fg; echo .*run -- sh/s);
    await interrupt(process);
    await process.printed(/status-130/);
    type(process, "exit 0\n");
    await process.ended(10_000);
  });

  test("a script continues to read after a shell inside has ended", async ({ lab }) => {
    const script = `"$slipway" run -- ${shell}; echo outside-$((1+1)); read line; echo read-$line`;
    const process = await terminal(lab, `sh -c '${script}'`);
    type(process, "exit\n");
    await process.printed(/outside-2/);
    type(process, "on\n");
    await process.printed(/read-on/);
  });

  test("the command sees the terminal's size", async ({ lab }) => {
    const process = await terminal(lab, shell);
    type(process, `stty rows 33 columns 77; "$slipway" run -- stty size\n`);
    await process.printed(/33 77/);
    type(process, "exit 0\n");
    await process.ended(10_000);
  });
});

test.for([1, 1_000, 70_000, 3_000_000, 20_000_000])(
  "data that the command sent last arrives, even if it ended at once: %i bytes",
  async (bytes, { lab }) => {
    await using listener = await lab.world.agent.listen(served.services);
    const { address, port } = listener.endpoint;
    const script = `yes slipway | head -c ${bytes} > /dev/tcp/${address}/${port}`;
    const command = run(lab, [], "bash", "-c", script);
    const connection = await listener.accept();
    const received = await connection.receive();
    expect(await command).toMatchObject({ code: 0, stderr: "" });
    const sent = "slipway\n".repeat(Math.ceil(bytes / 8)).slice(0, bytes);
    expect(received).toEqual({ bytes, sha256: createHash("sha256").update(sent).digest("hex") });
  },
);

test("a signal ends the wait for a peer that does not read the command's data", async ({ lab }) => {
  await using listener = await lab.world.agent.listen(served.services);
  const { address, port } = listener.endpoint;
  const fill = "timeout 3 cat /dev/zero >&7; echo done";
  const argv = ["run", "--", "bash", "-c", `exec 7<>/dev/tcp/${address}/${port}; ${fill}`];
  const [signalled, left] = [lab.host.slipway(argv), lab.host.slipway(argv)];
  const connections = [await listener.accept(), await listener.accept()];
  for (const process of [signalled, left]) await process.printed(/done/);
  await delay(500);
  expect(signalled.running).toBe(true);
  signalled.kill("SIGTERM");
  expect((await signalled.ended(10_000)).code).toBe(0);
  // By itself it waits for 5 s (DRAIN_LIMIT), as the other one does, which began at the same time.
  expect(left.running).toBe(true);
  left.kill("SIGTERM");
  await left.ended(10_000);
  for (const connection of connections) await connection.close();
});
