import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Process } from "../lab/process.ts";
import { isSlipway, root } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base
  .extend("user", async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    return user;
  })
  .runIf(isSlipway);

/** A service manager that listens for the daemon, and starts it for its first client. */
async function activation(user: DaemonUser, ...options: string[]): Promise<Process> {
  const { lab, directory, env } = user;
  await lab.host.user.shell(`mkdir -p -m 0700 ${directory} ${directory}/daemon`);
  const socket = `${directory}/daemon/api.sock`;
  const service = lab.host.user.spawn(
    [
      ...["sh", "-c", 'umask 077; exec "$@"', "sh", "systemd-socket-activate"],
      ...["--setenv=XDG_RUNTIME_DIR", "--setenv=XDG_STATE_HOME", ...options],
      ...[`--listen=${socket}`, lab.host.slipwayPath, "daemon", "run"],
    ],
    { env },
  );
  await eventually(() => lab.host.user.output(["test", "-S", socket]));
  return service;
}

/** The lines of networks.md that install the units, up to those that talk to systemd. */
function installation(): string {
  const document = readFileSync(join(root, "docs/networks.md"), "utf8");
  const [lines = ""] =
    /^ {4}mkdir -p ~\/\.config\/systemd\/user\n(?: {4}.*\n)+/m.exec(document) ?? [];
  return lines.replaceAll(/^ +(?:systemctl|slipway) .*/gm, "");
}

const pidOf = (user: DaemonUser) => user.ok("daemon", "status", "--format", "{{.pid}}");

describe("the daemon under a service manager", () => {
  test("is started by its first client, and keeps the socket it was given", async ({
    user,
    lab,
  }) => {
    const service = await activation(user);
    await user.ok("network", "create", "web");
    const daemon = Number(await pidOf(user));
    // The process that was started supervises.
    expect(await lab.host.user.output(["ps", "-o", "ppid=", "-p", `${daemon}`])).toMatch(
      new RegExp(`^ *${service.pid}\\n$`),
    );
    await user.kill();
    // Nobody is refused meanwhile: the socket still listens.
    expect(await user.ok("network", "ls", "-f", "type=custom", "--format", "{{.Name}}")).toBe(
      "web\n",
    );
    expect(Number(await pidOf(user))).not.toBe(daemon);
    await user.ok("daemon", "stop");
    expect((await service.ended(10_000)).code).toBe(0);
    expect(await lab.host.user.output(["ls", `${user.directory}/daemon`])).toContain("api.sock");
  });

  test("has units that find it when they are installed as the documentation says", async ({
    user,
    lab,
  }) => {
    const home = `${user.directory}.home`;
    const units = `${home}/.config/systemd/user`;
    // In the lab there is no whole clone.
    const written = ["slipway.socket", "slipway.service"].map((name) => {
      const text = readFileSync(join(root, "docs/systemd", name), "utf8");
      return `cat > docs/systemd/${name} <<'END'\n${text}END\n`;
    });
    await lab.host.user.shell(`
      export HOME=${home} PATH=${dirname(lab.host.slipwayPath)}:$PATH
      mkdir -p -m 0700 $HOME; cd $HOME; mkdir -p docs/systemd
${written.join("")}${installation()}`);
    const checked = await lab.host.user.run(
      [
        "systemd-analyze",
        "--user",
        "verify",
        `${units}/slipway.socket`,
        `${units}/slipway.service`,
      ],
      { env: { ...user.env, HOME: home } },
    );
    expect([checked.code, checked.stderr]).toEqual([0, ""]);
    const service = await lab.host.user.output(["cat", `${units}/slipway.service`]);
    expect(service).toContain(`ExecStart=${lab.host.slipwayPath} daemon run\n`);
  });

  test("serves many clients at once", async ({ user }) => {
    const service = await activation(user);
    const names = Array.from({ length: 8 }, (_, index) => `n${index}`);
    await Promise.all(names.map((name) => user.ok("network", "create", name)));
    const listed = await user.ok("network", "ls", "-f", "type=custom", "--format", "{{.Name}}");
    expect(listed.trim().split("\n").sort()).toEqual(names);
    await user.ok("daemon", "stop");
    await service.ended(10_000);
  });

  test.for(["a file", "an abstract name"])(
    "tells %s when it is ready",
    async (kind, { user, lab }) => {
      const file = `${user.directory}.notify`;
      const [notify, listen] =
        kind === "a file" ? [file, `UNIX-RECV:${file}`] : [`@${file}`, `ABSTRACT-RECV:${file}`];
      const manager = lab.host.user.spawn(["socat", "-u", listen, "STDOUT"]);
      const env = { ...user.env, NOTIFY_SOCKET: notify };
      await eventually(async () => {
        expect(await lab.host.user.output(["cat", "/proc/net/unix"])).toContain(notify);
      });
      const service = lab.host.user.spawn([lab.host.slipwayPath, "daemon", "run"], { env });
      await manager.printed(/READY=1/, 10_000);
      // It did not report ready too early.
      await user.ok("daemon", "status");
      await user.ok("daemon", "stop");
      await manager.printed(/STOPPING=1/, 10_000);
      expect((await service.ended(10_000)).code).toBe(0);
      manager.kill("SIGTERM");
    },
  );

  test("takes no socket that was meant for another process, and only one", async ({
    user,
    lab,
  }) => {
    const run = (env: Record<string, string>, pid: string) =>
      lab.host.user.run(
        [
          "sh",
          "-c",
          `LISTEN_PID=${pid} exec "$@" 3< /dev/null`,
          "sh",
          lab.host.slipwayPath,
          "daemon",
          "run",
        ],
        { env: { ...user.env, ...env } },
      );
    const two = await run({ LISTEN_FDS: "2" }, "$$");
    expect(`${two.code} ${two.stderr}`).toContain(
      "1 slipway: LISTEN_FDS is 2, and the daemon listens at one socket",
    );
    const other = run({ LISTEN_FDS: "1" }, "1");
    await eventually(() => user.ok("daemon", "status"));
    await user.ok("network", "create", "own");
    await user.ok("daemon", "stop");
    expect((await other).code).toBe(0);
  });
});
