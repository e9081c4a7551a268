import { markedProcesses } from "../lab/census.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace, Namespace } from "../lab/namespace.ts";
import type { Outcome } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Only Slipway promises one helpful line.
const test = base.runIf(isSlipway);

const usage = 2;
const failure = 1;

/** Each mistake gives one line on stderr that names it, and nothing on stdout. */
function expectOneLine(
  outcome: Outcome,
  status: number,
  named: RegExp | string,
  program = "slipway",
): void {
  expect(outcome.stderr).toMatch(new RegExp(`^${program}: [^\\n]+\\n$`));
  expect(outcome.stderr).toMatch(named);
  expect(outcome.stdout).toBe("");
  expect(outcome.code).toBe(status);
}

function command(lab: Lab, args: readonly string[]): Promise<Outcome> {
  return lab.host.slipway(args).ended(10_000);
}

function onMachine(machine: Namespace, lab: Lab, args: readonly string[]): Promise<Outcome> {
  return machine.run([lab.host.slipwayPath, ...args], { timeoutMs: 10_000 });
}

async function withNamespace<T>(lab: Lab, use: (it: HeldNamespace) => Promise<T>): Promise<T> {
  const namespace = await lab.host.namespace();
  try {
    return await use(namespace);
  } finally {
    await namespace.release();
  }
}

describe("a bad target is refused in one line", () => {
  test("a process that does not exist", async ({ lab }) => {
    const dead = lab.host.user.spawn(["true"]);
    await dead.exit;
    expectOneLine(await command(lab, ["attach", `${dead.pid}`]), failure, `${dead.pid}`);
  });

  test("a process of another user", async ({ lab }) => {
    const { pid } = lab.host.root;
    expectOneLine(await command(lab, ["attach", `${pid}`]), failure, `${pid}`);
  });

  test("a file that is not a namespace", async ({ lab }) => {
    const outcome = await command(lab, ["attach", "/etc/hostname"]);
    expectOneLine(outcome, failure, /\/etc\/hostname/);
  });

  test("a namespace of another kind", async ({ lab }) => {
    await withNamespace(lab, async ({ pid }) => {
      const path = `/proc/${pid}/ns/uts`;
      expectOneLine(await command(lab, ["attach", path]), failure, path);
    });
  });

  test("a path that does not exist", async ({ lab }) => {
    const outcome = await command(lab, ["attach", "/no/such/netns"]);
    expectOneLine(outcome, failure, /\/no\/such\/netns/);
  });
});

describe("a machine that lacks something is reported in one line", () => {
  test("user namespaces are forbidden", async ({ lab }) => {
    // The limit applies below the namespace in which it is written. Root there, without
    // capabilities, is as unprivileged as any user.
    const machine = lab.host.user
      .behind(["unshare", "--user", "--map-root-user", "--", "sh", "-euc"])
      .behind(['echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh"])
      .behind(["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"]);
    const outcome = await onMachine(machine, lab, ["run", "--", "true"]);
    expectOneLine(outcome, failure, /user namespaces|max_user_namespaces/);
  });

  test("/dev/net/tun is missing", async ({ lab }) => {
    const machine = lab.host.userAfter("mount -t tmpfs tmpfs /dev/net");
    const outcome = await onMachine(machine, lab, ["run", "--", "true"]);
    expectOneLine(outcome, failure, /\/dev\/net\/tun/);
    await withNamespace(lab, async ({ pid }) => {
      const attached = await onMachine(machine, lab, ["attach", `${pid}`]);
      expectOneLine(attached, failure, /\/dev\/net\/tun/);
    });
  });

  test("/dev/net/tun may not be opened", async ({ lab }) => {
    // Only root can make a device; this file of root's is closed to others on every Debian.
    const machine = lab.host.userAfter("mount --bind /etc/shadow /dev/net/tun");
    const outcome = await onMachine(machine, lab, ["run", "--", "true"]);
    expectOneLine(outcome, failure, /\/dev\/net\/tun.*(chmod|permi)/);
  });
});

describe("a bad TAP name is refused in one line", () => {
  test("one that is in use", async ({ lab }) => {
    await withNamespace(lab, async (namespace) => {
      await namespace.shell("ip link add tap0 type veth peer name other");
      expectOneLine(await command(lab, ["attach", `${namespace.pid}`]), failure, /tap0/);
    });
  });

  test.for([
    ["too long", "abcdefghijklmnop"],
    ["lo", "lo"],
    ["empty", ""],
    ["with a slash", "a/b"],
  ])("one that is %s", async ([, name], { lab }) => {
    await withNamespace(lab, async ({ pid }) => {
      const outcome = await command(lab, ["attach", `${pid}`, `${name}`]);
      expectOneLine(outcome, usage, name === "" ? /TAP/i : `${name}`);
    });
    const outcome = await command(lab, ["run", "--tap", `${name}`, "--", "true"]);
    expectOneLine(outcome, usage, name === "" ? /TAP/i : `${name}`);
  });
});

describe("a bad value is refused in one line", () => {
  test.for(["67", "65522", "-1", "abc", "1500x", "1e3", ""])("MTU '%s'", async (mtu, { lab }) => {
    const outcome = await command(lab, ["run", `--mtu=${mtu}`, "--", "true"]);
    expectOneLine(outcome, usage, /68.*65521/);
  });

  test.for([
    "10.0.2.0",
    "10.0.2.0/33",
    "10.0.2.0/26",
    "10.0.2.1/24",
    "10.0.2/24",
    "300.0.2.0/24",
    "ten",
    "",
  ])("CIDR '%s'", async (cidr, { lab }) => {
    const outcome = await command(lab, ["run", `--cidr=${cidr}`, "--", "true"]);
    expectOneLine(outcome, usage, /cidr|CIDR|network/);
    expect(outcome.stderr).toContain(cidr);
  });

  test("slirp4netns's command line refuses them too, with its exit status", async ({ lab }) => {
    for (const option of ["--mtu=67", "--cidr=10.0.2.1/24"]) {
      const outcome = await lab.host.helper(["-c", option, "1", "tap0"]).ended(10_000);
      expectOneLine(outcome, failure, option.slice(0, 5), "slirp4netns");
    }
  });
});

describe("a command that cannot be executed is reported in one line", () => {
  test.for([[], ["--network", "none"], ["--network", "host"]])(
    "is not found: %s",
    async (mode, { lab }) => {
      const outcome = await command(lab, ["run", ...mode, "--", "no-such-command"]);
      expectOneLine(outcome, 127, /no-such-command/);
    },
  );

  test("one whose path does not exist", async ({ lab }) => {
    expectOneLine(await command(lab, ["run", "--", "/no/such"]), 127, /\/no\/such/);
  });

  test("one that is not executable", async ({ lab }) => {
    const file = `${lab.directory}/not-executable`;
    await lab.host.user.shell(`echo text > ${file}`);
    expectOneLine(await command(lab, ["run", "--", file]), 126, file);
  });

  test("one that is a directory", async ({ lab }) => {
    expectOneLine(await command(lab, ["run", "--", "/etc"]), 126, /\/etc/);
  });

  test("a missing one", async ({ lab }) => {
    expectOneLine(await command(lab, ["run"]), usage, /command/i);
  });
});

describe("bad descriptors", () => {
  // 3 is the first that Node opens for itself.
  test.for([3, 77])("a ready-fd that is not open is refused: %i", async (fd, { lab }) => {
    await withNamespace(lab, async ({ pid }) => {
      const outcome = await command(lab, ["attach", "--ready-fd", `${fd}`, `${pid}`]);
      expectOneLine(outcome, failure, new RegExp(`fd ${fd} `));
    });
  });

  test("an exit-fd that is not open ends the helper at once", async ({ lab }) => {
    await withNamespace(lab, async ({ pid }) => {
      const outcome = await command(lab, ["attach", "--exit-fd", "77", `${pid}`]);
      expectOneLine(outcome, failure, /77/);
    });
  });

  test("a descriptor that is not a number is refused", async ({ lab }) => {
    expectOneLine(await command(lab, ["attach", "--ready-fd", "x", "1"]), usage, /'?x'?/);
  });
});

describe("wrong usage is refused in one line", () => {
  test.for([
    [["--no-such-option"], /--no-such-option/],
    [["no-such-command"], /no-such-command/],
    [["attach"], /target|PID/i],
    [["run", "--no-such-option", "--", "true"], /--no-such-option/],
  ] as const)("%j", async ([args, named], { lab }) => {
    expectOneLine(await command(lab, args), usage, named);
  });
});

describe("usage errors of networks", () => {
  const lines = [
    ["network", "nosuch"],
    ["network", "create", "--subnet", "nonsense", "web"],
    ["network", "create", "--subnet", "10.90.0.0/16", "--gateway", "10.91.0.1", "web"],
    ["network", "create", "a\nb\u001b[31m"],
    ["network", "create", "n".repeat(64)],
    ["network", "create", "x".repeat(100_000)],
    ["network", "create", "--opt", "icc=false", "web"],
    ["network", "connect", "web", "1", "--ip", "ten"],
    ["network", "connect", "web", "1", "--mac-address", "01:00:5e:00:00:01"],
    ["network", "connect", "web", "1", "--name", "a b"],
    ["network", "connect", "web", "1", "--ifname", "a/b"],
    ["run", "--network", "web:ip=ten", "true"],
    ["run", "--network", "web", "-p", "8080:80", "-p", "8080:81", "true"],
    ["help", "network", "nosuch"],
    ["ps", "--bogus\u202e"],
  ];

  test("are the same with a daemon and without, and start none", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    const outcomes = async (): Promise<Outcome[]> => {
      const all: Outcome[] = [];
      for (const line of lines) all.push(await user.command(...line));
      return all;
    };
    const alone = await outcomes();
    for (const outcome of alone) {
      expectOneLine(outcome, usage, / see slipway .*--help\n$/);
      expect(outcome.stderr.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(outcome.stderr.length).toBeLessThan(1_200);
    }
    expect((await user.command("daemon", "status")).code).toBe(1);
    await user.ok("daemon", "start");
    const beside = await outcomes();
    expect(beside.map(({ stderr }) => stderr)).toEqual(alone.map(({ stderr }) => stderr));
    for (const [index, outcome] of beside.entries()) {
      expect([outcome.code, outcome.stdout], `${lines[index]}`).toEqual([usage, ""]);
    }
  });

  test("what conflicts with the state is none", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web", "--subnet", "10.90.0.0/16");
    for (const [line, sentence] of [
      [["create", "web"], "network web exists"],
      [["create", "x", "--subnet", "10.90.1.0/24"], "overlaps network web"],
      [["rm", "nope"], "network nope does not exist"],
    ] as const) {
      expectOneLine(await user.command("network", ...line), failure, sentence);
    }
  });

  test("help is the same with a daemon and without", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    const asked = [["help", "network", "create"], ["network", "help", "create"], ["network"]];
    const alone = await Promise.all(asked.map((words) => user.ok(...words)));
    expect(alone[0]).toMatch(/^Usage: slipway network create /);
    expect(alone[1]).toBe(alone[0]);
    expect(alone[2]).toMatch(/^Usage: slipway network COMMAND/);
    await user.ok("daemon", "start");
    expect(await Promise.all(asked.map((words) => user.ok(...words)))).toEqual(alone);
  });
});

test("none of these left anything behind", async ({ lab }) => {
  const left = () => markedProcesses(lab.id).filter((it) => /slipway|node.*dist/.test(it.command));
  await expect.poll(left).toEqual([]);
});
