import type { Namespace } from "../lab/namespace.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    await user.ok("network", "create", "web", "--subnet", "10.90.1.0/24");
    return user;
  })
  .runIf(isSlipway);

const create = ["network", "create"] as const;

describe("a network is refused", () => {
  test.for([
    [[...create, "web"], "1 slipway: network web exists: choose another name, or"],
    [[...create, "_net"], '"_net" cannot be a network\'s name: begin with a letter or digit'],
    [[...create, "host"], "2 slipway: network host is always there: choose another name"],
    [[...create, "x", "--subnet", "10.90.1.128/25"], "overlaps network web (10.90.1.0/24)"],
    [[...create, "x", "--subnet", "198.51.0.0/16"], "overlaps the host's route to 198.51.100.0/24"],
    [
      [...create, "x", "--subnet", "2001:db8::/32"],
      "overlaps the host's route to 2001:db8:0:1::/64",
    ],
    [
      [...create, "x", "--subnet", "10.90.2.0/31"],
      "is too small: the prefix length must be 30 or less",
    ],
    [
      [...create, "x", "--subnet", "10.90.2.1/24"],
      "a CIDR needs to be a network address like 10.90.2.0/24",
    ],
    [[...create, "x", "--subnet", "224.0.0.0/8"], "is not a network for hosts"],
    [
      [...create, "x", "--subnet", "nonsense"],
      '2 slipway: --subnet "nonsense": invalid CIDR; write one like',
    ],
    [
      [...create, "x", "--subnet", "10.90.2.0/24", "--gateway", "10.90.3.1"],
      "2 slipway: --gateway 10.90.3.1 is not an address in 10.90.2.0/24",
    ],
    [
      [...create, "x", "--subnet", "10.90.2.0/24", "--ip-range", "10.90.3.0/25"],
      "2 slipway: --ip-range 10.90.3.0/25 is outside of 10.90.2.0/24",
    ],
    [
      [...create, "x", "--ipv6", "--mtu", "1200"],
      "MTU 1200 is too small for IPv6: give 1280 or more",
    ],
    [[...create, "x", "--opt", "icc=false"], '2 slipway: --opt "icc=false" is unknown'],
    [["network", "rm", "nope"], "network nope does not exist: slipway network ls shows"],
    [["network", "inspect", "nope"], "network nope does not exist"],
    [
      ["network", "inspect", "web", "--format", "{{.Colour}}"],
      "--format: there is no field Colour",
    ],
  ] as const)("%j", async ([args, sentence], { user }) => {
    expect(await user.refusal(...args)).toContain(sentence);
  });
});

describe("a member is refused, and leaves nothing", () => {
  test.for([
    [
      ["--ip", "10.91.0.5"],
      "address 10.91.0.5 is outside of network web: choose one in 10.90.1.0/24",
    ],
    [["--ip", "10.90.1.1"], "is reserved for the gateway or the network: choose another"],
    [["--ip", "10.90.1.255"], "is reserved for the gateway or the network: choose another"],
    [["--ip", "10.90.1.50"], "is taken by resident: choose another"],
    [["--ip", "ten"], '2 slipway: --ip "ten" is not an address: write one like 10.89.1.50'],
    [["--mac-address", "02:42:0a:5a:01:32"], "is taken by resident: choose another"],
    [["--mac-address", "01:00:5e:00:00:01"], "is not the Ethernet address of an interface"],
    [["--name", "resident"], "the name resident is taken by a member on web: choose another"],
    [["--name", "-x"], '"-x" cannot be a member\'s name: begin with a letter or digit'],
    [["--alias", "a..b"], '"a..b" cannot be an alias'],
    [["--network", "nope"], "network nope does not exist"],
    [["--publish-to-loopback"], "--publish-to-loopback has no effect on a network: leave it out"],
    [
      ["-p", "8091:80", "-p", "8091:81"],
      "2 slipway: --publish 8091:80/tcp and 8091:81/tcp both take port 8091 of the host",
    ],
  ] as const)("%j", async ([options, sentence], { user, lab }) => {
    await resident(user);
    const before = await user.inspect("web");
    const said = await user.refusal("run", "--network", "web", ...options, "--", "true");
    expect(said).toContain(sentence);
    await eventually(async () => expect(await user.inspect("web")).toEqual(before));
    expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8091");
  });

  test("whose process has ended, or is another user's", async ({ user, lab }) => {
    expect(await user.refusal("network", "connect", "web", "4194304")).toContain(
      "process 4194304 does not exist, or is another user's",
    );
    expect(await user.refusal("network", "connect", "web", `${lab.host.root.pid}`)).toMatch(
      /another user's|not permitted to enter/,
    );
    expect(await user.refusal("network", "connect", "web", "/nowhere")).toContain(
      "/nowhere does not",
    );
    expect(await user.refusal("network", "connect", "web", "/etc/hostname")).toContain(
      "is not a network namespace",
    );
    expect(await user.refusal("network", "disconnect", "web", "nobody")).toContain(
      "there is no member nobody: slipway ps shows",
    );
    await eventually(async () => {
      expect((await user.members()).map(({ name }) => name)).toEqual(["resident"]);
    });
  });

  test("whose command ends before member.attach", async ({ user, lab }) => {
    await resident(user);
    const before = await user.inspect("web");
    const { pid } = await lab.host.namespace();
    const netns = `/proc/${pid}/ns/net`;
    const attachments = [{ network: "web" }];
    // By a file: the daemon would not hear of its end.
    const spec = {
      namespace: { netns, id: "a file's" },
      stays: true,
      name: "halfway",
      attachments,
    };
    expect(await say(user, "member.join", spec)).toContain('"name":"halfway"');
    await eventually(async () => expect(await user.inspect("web")).toEqual(before));
    expect((await user.members()).map(({ name }) => name)).not.toContain("halfway");
  });

  test("whose process ends while it is being connected", async ({ user, lab }) => {
    await resident(user);
    const before = await user.inspect("web");
    const join = (pid: number) =>
      say(user, "member.join", {
        namespace: { netns: `/proc/${pid}/ns/net`, id: `gone ${pid}`, pid },
        stays: true,
        name: "brief",
        attachments: [{ network: "web" }],
      });
    // It ends before the daemon looks at it.
    const dead = await lab.host.namespace();
    await dead.release();
    expect(await join(dead.pid)).toContain(`process ${dead.pid} ended while it was being attached`);
    expect(await user.inspect("web")).toEqual(before);
    // Between member.join and member.attach.
    const dying = await lab.host.namespace();
    expect(await join(dying.pid)).toContain('"name":"brief"');
    await dying.release();
    await eventually(async () => expect(await user.inspect("web")).toEqual(before));
    const late = { member: "brief", network: "web", ifname: "eth0" };
    expect(await say(user, "member.attach", late)).toMatch(/no TAP came along|no member brief/);
    // It ends at any time, while the command connects it.
    for (let delayMs = 0; delayMs < 200; delayMs += 40) {
      const namespace = await lab.host.namespace();
      const connecting = user.command("network", "connect", "web", `${namespace.pid}`);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      await namespace.release();
      const { code, stderr } = await connecting;
      expect(`${code} ${stderr}`).toMatch(/^(0 |1 slipway: (?!internal error)[^\n]+\n)$/);
      await eventually(async () => expect(await user.inspect("web")).toEqual(before));
    }
  });

  test("whose namespace has an interface of that name", async ({ user }) => {
    const { namespace } = await resident(user);
    await user.ok("network", "create", "second");
    const said = await user.refusal(
      ...["network", "connect", "second", `${namespace.pid}`, "--ifname", "eth0"],
    );
    expect(said).toContain("TAP eth0 is in use in the namespace of process");
    expect((await user.members())[0].networks.map(({ network }) => network)).toEqual(["web"]);
    await user.ok("network", "rm", "second");
  });
});

describe("the daemon", () => {
  test("runs once per user", async ({ user }) => {
    expect(await user.refusal("daemon", "run")).toBe(
      "1 slipway: the daemon is already running: slipway daemon status",
    );
  });

  test("tells a client of another version what to do", async ({ user, lab }) => {
    const say = (line: string) => sayLine(lab.host.user, user, line);
    expect(await say('{"v":99,"method":"network.list"}')).toContain(
      "the daemon speaks version 4 of its protocol, this command 99: slipway daemon stop",
    );
    expect(await say("nonsense")).toContain("not a request");
    expect(await say('{"v":4,"method":"fly"}')).toContain("the daemon knows no method fly");
    expect(await say('{"v":4,"method":"network.create","params":{}}')).toContain(
      "network.create: name is missing",
    );
    expect(
      await say(
        '{"v":4,"method":"member.attach","params":{"member":"x","network":"web","ifname":"eth0"}}',
      ),
    ).toContain("no TAP came along");
  });

  test("checks a program's requests as the command line does, and tells them in one line", async ({
    user,
  }) => {
    const join = (attachment: object) => ({
      name: "x",
      attachments: [{ network: "web", ...attachment }],
    });
    const before = await user.inspect("web");
    for (const [method, params, sentence] of [
      ["network.create", { name: "x", mtu: 0 }, "mtu must be a whole number from 68 to 65521"],
      ["network.create", { name: "a\nb" }, '"a\\nb" cannot be a network\'s name'],
      ["network.create", { name: "x", subnets: ["x"] }, '--subnet "x": invalid CIDR'],
      ["network.create", { name: "slirp" }, "cannot be a network's name: choose one"],
      ["member.join", join({ addresses: ["ten"] }), '--ip "ten" is not an address'],
      ["member.join", join({ mac: "x" }), '--mac-address "x" is not the Ethernet address'],
      ["member.join", join({ ifname: "a\nb" }), '--ifname "a\\nb" is not an interface name'],
      ["member.join", join({ aliases: ["a..b"] }), '"a..b" cannot be an alias'],
      ["fly\n\u001b[31m", {}, "the daemon knows no method fly\\n\\u{1b}[31m"],
    ] as const) {
      const { error } = JSON.parse(await say(user, method, params));
      expect(error.message).toContain(sentence);
      expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
    expect(await user.inspect("web")).toEqual(before);
  });

  test("is stopped by a client of another version, too", async ({ lab }) => {
    const user = await DaemonUser.create(lab);
    await user.ok("daemon", "start");
    const say = (line: string) => sayLine(lab.host.user, user, line);
    expect(await say('{"v":99,"method":"status"}')).toContain('"members":0');
    expect(await say('{"v":99,"method":"stop"}')).toContain('"result":{}');
    await eventually(async () =>
      expect(await user.ok("daemon", "stop")).toBe("the daemon is not running\n"),
    );
  });

  test("belongs to its user only", async ({ user, lab }) => {
    const modes = await lab.host.user.output([
      ...["stat", "-c", "%a", user.directory, `${user.directory}/daemon`],
      ...[`${user.directory}/daemon/api.sock`, `${user.directory}/state.json`],
    ]);
    expect(modes).toBe("700\n700\n600\n600\n");
    const open = `${user.directory}/open`;
    await lab.host.user.shell(`mkdir -p ${open}/slipway/daemon; chmod 0777 ${open}/slipway/daemon`);
    const outcome = await lab.host.user.run([lab.host.slipwayPath, "ps"], {
      env: { ...user.env, XDG_RUNTIME_DIR: open },
    });
    expect(outcome.stderr).toContain("is open to other users: chown it to you, and chmod 0700");
  });

  test("refuses other users, and commands refuse another user's daemon", async ({
    user,
    lab,
    skip,
  }) => {
    skip(!lab.host.stage.privileged, "in the lab of a normal user there is no other");
    // The daemon serves root.
    const stranger = lab.host.root.behind(["setpriv", "--reuid=61002", "--clear-groups", "--"]);
    const socket = `${user.directory}/daemon/api.sock`;
    const status = '{"v":4,"method":"status"}';
    const open = [user.directory, `${user.directory}/daemon`, `${user.directory}/..`].join(" ");
    await lab.host.user.shell(`chmod 0666 ${socket}; chmod 0711 ${open}`);
    expect(await sayLine(lab.host.user, user, status)).toContain('"result"');
    const { stdout } = await stranger.run(["socat", "-t30", "-", `UNIX-CONNECT:${socket}`], {
      input: `${status}\n`,
    });
    expect(stdout).toBe("");
    await lab.host.user.shell(`chmod 0600 ${socket}; chmod 0700 ${open}`);

    const home = `${user.directory}/trap`;
    const trap = `${lab.directory}/trap.sock`;
    stranger.spawn(["socat", `UNIX-LISTEN:${trap},mode=0666,fork`, "SYSTEM:cat > /dev/null"]);
    await eventually(() => lab.host.user.output(["test", "-S", trap]));
    await lab.host.user.shell(`
      mkdir -m 0700 ${home} ${home}/slipway ${home}/slipway/daemon
      ln -s ${trap} ${home}/slipway/daemon/api.sock
    `);
    const outcome = await lab.host.user.run([lab.host.slipwayPath, "ps"], {
      env: { XDG_RUNTIME_DIR: home, XDG_STATE_HOME: home },
    });
    expect(`${outcome.code} ${outcome.stderr}`).toContain(
      "is another user's: set XDG_RUNTIME_DIR to a directory of yours",
    );
  });

  test("reports that its socket's path is too long", async ({ user, lab }) => {
    const long = `${user.directory}/${"long".repeat(25)}`;
    await lab.host.user.shell(`mkdir -p ${long}`);
    const { code, stderr } = await lab.host.user.run([lab.host.slipwayPath, "ps"], {
      env: { XDG_RUNTIME_DIR: long, XDG_STATE_HOME: long },
    });
    expect(`${code} ${stderr}`).toMatch(/^1 slipway: .*set XDG_RUNTIME_DIR/);
  });

  test("changes nothing when the disk is full", async ({ user, lab }) => {
    const full = `${user.directory}/full`;
    await lab.host.user.shell(`mkdir -p ${full}`);
    await lab.host.root.shell(`mount -t tmpfs -o size=64k,mode=1777 tmpfs ${full}`);
    const env = { XDG_RUNTIME_DIR: full, XDG_STATE_HOME: full };
    const slipway = (...args: string[]) =>
      lab.host.user.run([lab.host.slipwayPath, ...args], { env });
    expect((await slipway("network", "create", "early")).code).toBe(0);
    await lab.host.user.run(["sh", "-c", `cat /dev/zero > ${full}/filler`]);
    const { code, stderr } = await slipway("network", "create", "late");
    expect(`${code} ${stderr}`).toMatch(/^1 slipway: cannot write .*the disk is full: make room/);
    await lab.host.user.shell(`rm ${full}/filler`);
    expect(
      (await slipway("network", "ls", "-f", "type=custom", "--format", "{{.Name}}")).stdout,
    ).toBe("early\n");
    expect((await slipway("network", "create", "late")).code).toBe(0);
    expect((await slipway("daemon", "stop")).code).toBe(0);
    await lab.host.root.shell(`umount ${full}`);
  });

  test.for([
    ["cut off", `printf '{"version":2,"networks":[{'`],
    ["of another version", `printf '{"version":1,"networks":[],"members":[]}'`],
  ])(
    "keeps a state file aside that is %s, and warns whoever asks for networks",
    async ([, write], { lab }) => {
      await using user = await DaemonUser.create(lab);
      await user.ok("network", "create", "web");
      await user.ok("daemon", "stop");
      expect(await user.refusal("daemon", "status")).toBe(
        "1 slipway: the daemon is not running: slipway daemon start",
      );
      await lab.host.user.shell(`${write} > ${user.directory}/state.json`);
      const told = await user.command("network", "ls", "-q");
      expect(told.stderr).toMatch(
        /^slipway: warning: the state file was damaged, or is of another version: it was renamed to \S+state\.json\.damaged-\d+, and its networks are gone\n$/,
      );
      expect(await lab.host.user.output(["ls", user.directory])).toMatch(
        /state\.json\.damaged-\d+/,
      );
      const warning = told.stderr;
      // By way of the launcher, too, and beside the answer of each; but not of what has no networks in it.
      for (const [code, ...args] of [
        [0, "network", "ls"],
        [0, "daemon", "start"],
        [0, "network", "prune"],
        [0, "ps", "--json"],
        [1, "network", "inspect", "web"],
        [1, "network", "rm", "web"],
        [1, "run", "--network", "web", "--", "true"],
      ] as const) {
        const outcome = await user.command(...args);
        expect(outcome.stderr.startsWith(warning), args.join(" ")).toBe(true);
        expect(outcome.code).toBe(code);
      }
      const listing = ["network", "ls", "--filter", "type=custom", "--json"] as const;
      expect(JSON.parse((await user.command(...listing)).stdout)).toEqual([]);
      expect(await user.ok("daemon", "status")).toContain("the state file was damaged");
      // Whoever makes networks anew has heard of it.
      expect((await user.command("network", "create", "web")).stderr).toBe(warning);
      expect(await user.command("network", "ls", "-q")).toMatchObject({ code: 0, stderr: "" });
    },
  );

  test("says that it cannot keep a damaged state file aside, and logs one line", async ({
    lab,
  }) => {
    const user = await DaemonUser.create(lab);
    await user.ok("daemon", "start");
    await user.ok("daemon", "stop");
    await lab.host.user.shell(
      `echo '{}' > ${user.directory}/state.json; chmod 0500 ${user.directory}`,
    );
    const sentence = await user.refusal("network", "ls");
    expect(sentence).toMatch(
      /^1 slipway: \S+state\.json is damaged, or of another version, and cannot be renamed to \S+ \(EACCES\): move it away$/,
    );
    // The daemon tells the command before it writes to its log.
    await eventually(async () => {
      const log = await lab.host.user.output(["cat", `${user.directory}/daemon.log`]);
      expect(`1 ${log.trim()}`).toBe(sentence);
    });
  });

  test("says at its stop which members wait", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    expect(await user.ok("daemon", "stop")).toBe("the daemon has stopped\n");
    expect(await user.ok("daemon", "stop")).toBe("the daemon is not running\n");
    await user.ok("daemon", "start");
    await user.member("web", "one");
    const suffix = "no network until slipway daemon start\n";
    expect(await user.ok("daemon", "stop")).toBe(`the daemon has stopped: 1 member has ${suffix}`);
    await user.ok("daemon", "start");
    await user.member("web", "two");
    expect(await user.ok("daemon", "stop")).toBe(
      `the daemon has stopped: 2 members have ${suffix}`,
    );
  });

  // The last test: what is in the log by now was told well to whom it concerns.
  test("has no stack trace in its log", async ({ user, lab }) => {
    const log = await lab.host.user.output(["cat", `${user.directory}/daemon.log`]);
    expect(log).not.toMatch(/^\s+at |failed/m);
  });
});

/** Sends a line to the daemon. @returns its answer */
function sayLine(from: Namespace, user: DaemonUser, line: string): Promise<string> {
  const socket = `UNIX-CONNECT:${user.directory}/daemon/api.sock`;
  return from.output(["socat", "-t30", "-", socket], { input: `${line}\n` });
}

function say(user: DaemonUser, method: string, params: object): Promise<string> {
  return sayLine(user.lab.host.user, user, JSON.stringify({ v: 4, method, params }));
}

/** A member whose state must survive the refusals; made once. */
async function resident(user: DaemonUser) {
  const name = "resident";
  const known = residents.get(user);
  if (known !== undefined) return known;
  const member = await user.member("web", name, "--ip", "10.90.1.50");
  residents.set(user, member);
  return member;
}

const residents = new Map<DaemonUser, Awaited<ReturnType<DaemonUser["member"]>>>();
