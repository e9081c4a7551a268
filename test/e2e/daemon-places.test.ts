import type { Lab } from "../lab/lab.ts";
import type { Namespace } from "../lab/namespace.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Where the daemon's sockets and state are, and which directories it refuses as others can change them.

const test = base.runIf(isSlipway);

/** Another user of the machine; null in the lab of an ordinary user, which has none. */
function strangerOf(lab: Lab): Namespace | null {
  if (!lab.host.stage.privileged) return null;
  return lab.host.root.behind(["setpriv", "--reuid=61002", "--clear-groups", "--"]);
}

/** A directory for temporary files, and the environment of a user who has no XDG_RUNTIME_DIR. */
async function temporary(lab: Lab, name: string) {
  const directory = `${lab.directory}/${name}`;
  await lab.host.root.shell(`mkdir -m 1777 ${directory}; mkdir -m 0777 ${directory}/state`);
  const home = `${directory}/home`;
  await lab.host.user.shell(`mkdir -m 0700 ${home}`);
  const uid = (await lab.host.user.output(["id", "-u"])).trim();
  return {
    directory,
    env: { XDG_RUNTIME_DIR: "", TMPDIR: directory, XDG_STATE_HOME: home, HOME: home },
    fallback: `${directory}/slipway-${uid}`,
  };
}

describe("the directory of the daemon's sockets", () => {
  const traps: readonly (readonly [string, (fallback: string, open: string) => string])[] = [
    ["another user's", (fallback) => `mkdir -m 0777 ${fallback}`],
    ["another user's link", (fallback, open) => `mkdir -m 0777 ${open}; ln -s ${open} ${fallback}`],
  ];
  test.for(traps)("is refused when it is %s", async ([what, trap], { lab, skip }) => {
    const stranger = strangerOf(lab);
    if (stranger === null) return skip("in the lab of a normal user there is no other");
    const { directory, env, fallback } = await temporary(lab, what.replaceAll(/\W/g, "-"));
    await stranger.shell(`umask 0; ${trap(fallback, `${directory}/open`)}`);
    for (const args of [
      ["network", "ls"],
      ["daemon", "start"],
      ["daemon", "status"],
    ]) {
      const { code, stderr } = await lab.host.user.run([lab.host.slipwayPath, ...args], { env });
      expect(`${code} ${stderr}`).toBe(
        `1 slipway: ${fallback}/daemon may be changed by other users, by way of ${fallback}: make that yours or root's, chmod go-w ${fallback}, or set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours\n`,
      );
    }
    expect(await stranger.output(["find", `${fallback}/`, "-mindepth", "1"])).toBe("");
  });

  test("is refused below a directory that anybody can write to", async ({ lab }) => {
    const open = `${lab.directory}/anybody`;
    await lab.host.user.shell(`mkdir -p ${open}/run; chmod 0777 ${open}`);
    const env = { XDG_RUNTIME_DIR: `${open}/run`, XDG_STATE_HOME: `${open}/run` };
    const { code, stderr } = await lab.host.user.run([lab.host.slipwayPath, "ps"], { env });
    expect(`${code} ${stderr}`).toContain(
      `1 slipway: ${open}/run/slipway/daemon may be changed by other users, by way of ${open}: `,
    );
    expect(await lab.host.user.output(["ls", `${open}/run`])).toBe("");
  });
});

describe("a place where no directory can be made", () => {
  const places: readonly (readonly [string, string])[] = [
    ["/proc/x", "ENOENT"],
    ["/sys/x", "EACCES"],
    ["/dev/null", "ENOTDIR"],
    ["HOME/file", "ENOTDIR"],
    ["HOME/closed", "EACCES"],
    ["HOME/closed/beneath", "EACCES"],
    ["HOME/astray", "ENOENT"],
  ];
  test.for(places)("is refused in one line: %s", async ([place, code], { lab }) => {
    const { env } = await temporary(lab, `impossible${place.replaceAll(/\W/g, "-")}`);
    const { HOME: home } = env;
    await lab.host.user.shell(
      `cd ${home}; touch file; mkdir -m 0500 closed; ln -s /proc/nowhere astray; mkdir -m 0700 run`,
    );
    const impossible = place.replace("HOME", home);
    const ask = async (places: Readonly<Record<string, string>>, ...args: readonly string[]) => {
      const outcome = await lab.host.user.run([lab.host.slipwayPath, ...args], {
        env: { ...env, ...places },
      });
      return `${outcome.code} ${outcome.stdout}${outcome.stderr}`;
    };
    const said = (directory: string): string =>
      `1 slipway: cannot make ${directory} (${code}): set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours\n`;
    const sockets = `${impossible}/slipway/daemon`;
    const state = `${impossible}/slipway`;
    for (const args of [
      ["network", "ls"],
      ["daemon", "status"],
      ["daemon", "run"],
    ]) {
      expect(await ask({ XDG_RUNTIME_DIR: impossible }, ...args)).toBe(said(sockets));
      const places = { XDG_RUNTIME_DIR: `${home}/run`, XDG_STATE_HOME: impossible };
      expect(await ask(places, ...args)).toBe(said(state));
    }
  });

  test("is not tried where a path is relative or empty: the usual directories are used", async ({
    lab,
  }) => {
    const { env, fallback } = await temporary(lab, "relative");
    const ask = (...args: readonly string[]) =>
      lab.host.user.run([lab.host.slipwayPath, ...args], {
        env: { ...env, XDG_RUNTIME_DIR: "run", XDG_STATE_HOME: "state" },
      });
    expect(await ask("network", "ls", "-f", "type=custom", "--format", "{{.Name}}")).toMatchObject({
      code: 0,
      stdout: "",
    });
    expect(await lab.host.user.output(["ls", fallback])).toContain("daemon");
    expect(await lab.host.user.output(["ls", `${env.HOME}/.local/state/slipway`])).toContain(
      "daemon.log",
    );
    expect(await ask("daemon", "stop")).toMatchObject({ code: 0 });
  });

  test("is not sought where no home directory is known", async ({ lab, skip }) => {
    const { env } = await temporary(lab, "homeless");
    const { code } = await lab.host.user.run(["sh", "-c", 'getent passwd "$(id -u)"']);
    skip(code === 0, "the user has an account");
    const outcome = await lab.host.user.run(
      ["env", "-u", "HOME", "-u", "XDG_STATE_HOME", lab.host.slipwayPath, "network", "ls"],
      { env },
    );
    expect([outcome.code, outcome.stderr]).toEqual([
      1,
      "slipway: there is no home directory for the daemon's state: set HOME or XDG_STATE_HOME to a directory of yours\n",
    ]);
  });

  test("is told of where only the daemon cannot use it", async ({ lab }) => {
    const { env } = await temporary(lab, "elsewhere");
    const outcome = await lab.host.user.run(
      ["sh", "-c", `cd ${env.HOME}; exec ${lab.host.slipwayPath} network ls`],
      { env: { ...env, XDG_STATE_HOME: "/proc/self/cwd" } },
    );
    // The daemon's working directory is /.
    expect([outcome.code, outcome.stderr]).toEqual([
      1,
      "slipway: cannot make /proc/self/cwd/slipway (EACCES): set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours\n",
    ]);
  });
});

describe("two environments with one state", () => {
  test("have one daemon: the second says which", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    const pid = (await user.ok("daemon", "status", "--format", "{{.pid}}")).trim();
    const other = `${user.directory}/other`;
    await lab.host.user.shell(`mkdir -m 0700 ${other}`);
    const env = { ...user.env, XDG_RUNTIME_DIR: other };
    const ask = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await lab.host.user.run([lab.host.slipwayPath, ...args], { env });
      return `${code} ${stderr}`;
    };
    const sentence = `slipway: the state in ${user.directory} belongs to process ${pid}, with its sockets in ${user.directory}/daemon: set XDG_RUNTIME_DIR to the same directory, or XDG_STATE_HOME to another\n`;
    expect(await ask("network", "create", "late")).toBe(`1 ${sentence}`);
    expect(await ask("daemon", "run")).toBe(`1 ${sentence}`);
    expect(await user.ok("network", "ls", "-f", "type=custom", "--format", "{{.Name}}")).toBe(
      "web\n",
    );
    // The lock counts, not the text in its file.
    await lab.host.user.shell(`printf '1 \\033[2J\\n' > ${user.directory}/state.lock`);
    expect(await ask("daemon", "run")).toMatch(
      /^1 slipway: the state in \S+ belongs to another daemon: set/,
    );
    await user.ok("daemon", "stop");
    expect(await ask("network", "create", "late")).toBe("0 ");
    expect(await ask("daemon", "stop")).toBe("0 ");
    await user.ok("daemon", "start");
    expect(await user.ok("network", "ls", "-f", "type=custom", "--format", "{{.Name}}")).toBe(
      "late\nweb\n",
    );
  });
});
