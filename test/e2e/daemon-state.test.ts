import { existsSync, readFileSync } from "node:fs";
import type { HeldNamespace } from "../lab/namespace.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser, eventually } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// A compromised daemon can write its state file: what the next daemon believes of it.

const test = base.runIf(isSlipway);

/** How a daemon ends, and the next one starts. */
const endings: readonly (readonly [string, (user: DaemonUser) => Promise<unknown>])[] = [
  ["is killed", (user) => user.kill()],
  ["is stopped", (user) => user.ok("daemon", "stop")],
  ["is killed with its supervisor", killBoth],
];

async function killBoth(user: DaemonUser): Promise<void> {
  const { pid, supervisor } = await processesOf(user);
  await user.lab.host.user.output(["kill", "-KILL", supervisor, pid]);
  await eventually(async () => expect(existsSync(`/proc/${pid}`)).toBe(false));
}

async function processesOf(user: DaemonUser): Promise<{ pid: string; supervisor: string }> {
  const pid = (await user.ok("daemon", "status", "--format", "{{.pid}}")).trim();
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const [, supervisor = ""] = /^PPid:\t(\d+)/m.exec(status) ?? [];
  return { pid, supervisor };
}

/** The part of a member's state that is forged here. */
interface StateMember {
  readonly id: string;
  readonly name: string;
  readonly namespace: { readonly id: string; readonly netns: string };
  readonly attachments: readonly object[];
}

interface State {
  readonly members: readonly StateMember[];
  readonly awaited: readonly StateMember[];
}

/** Rewrites the state file, as the daemon can. */
async function forge(user: DaemonUser, change: (state: State) => State): Promise<void> {
  const file = `${user.directory}/state.json`;
  const state: State = JSON.parse(await user.lab.host.user.output(["cat", file]));
  const input = JSON.stringify(change(state));
  await user.lab.host.user.output(["sh", "-c", `cat > ${file}.new; mv ${file}.new ${file}`], {
    input,
  });
}

async function refOf(user: DaemonUser, { pid }: HeldNamespace) {
  const netns = `/proc/${pid}/ns/net`;
  const id = await user.lab.host.user.output(["stat", "-L", "-c", "%d:%i", netns]);
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const [started] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(19);
  return { netns, userns: null, id: id.trim(), pid, started };
}

/** Names and numbers of the interfaces in a namespace. */
async function interfaces(namespace: HeldNamespace): Promise<readonly string[]> {
  const links = await namespace.output(["ip", "-o", "link"]);
  return links.split("\n").flatMap((line) => /^\d+: [^:@]+/.exec(line)?.[0] ?? []);
}

/** What the daemon logs of members that are not restored. */
async function refusals(user: DaemonUser): Promise<readonly string[]> {
  const log = await user.lab.host.user.output(["cat", `${user.directory}/daemon.log`]);
  return log.split("\n").filter((line) => line.includes("is not restored"));
}

async function daemonRuns(user: DaemonUser): Promise<void> {
  await user.ok("daemon", "start");
  await eventually(() => user.ok("daemon", "status"));
}

describe("a namespace that a compromised daemon has written into its state", () => {
  test.for(endings)("is not entered when it %s", async ([, end], { lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    const rightful = await user.member("web", "rightful");
    const victim = await lab.host.namespace();
    const namespace = await refOf(user, victim);
    await forge(user, ({ members: [first], ...state }) => {
      const attachments = first.attachments.map((each) => ({ ...each, addresses: [], mac: null }));
      const forged = { ...first, id: "f".repeat(64), name: "forged", namespace, attachments };
      return { ...state, members: [forged, first] };
    });
    await end(user);
    await daemonRuns(user);
    await eventually(async () => expect((await user.members()).length).toBeGreaterThan(0));
    expect((await user.members()).map(({ name }) => name)).toEqual(["rightful"]);
    expect(await interfaces(victim)).toEqual(["1: lo"]);
    expect(await refusals(user)).toEqual([
      expect.stringContaining(
        `forged is not restored: nothing vouches for its namespace: attach it again: slipway network connect NETWORK ${victim.pid}`,
      ),
    ]);
    expect(await user.addressesOf("rightful", "web")).toEqual(rightful.addresses);
  });

  test.for(endings)("is not entered in a member's name when it %s", async ([, end], { lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    await user.member("web", "rightful");
    const victim = await lab.host.namespace();
    const { netns } = await refOf(user, victim);
    // The path is the victim's; all else is the member's.
    await forge(user, ({ members, ...state }) => ({
      ...state,
      members: members.map((each) => ({ ...each, namespace: { ...each.namespace, netns } })),
    }));
    await end(user);
    await daemonRuns(user);
    await user.members();
    expect(await interfaces(victim)).toEqual(["1: lo"]);
  });

  test("is not entered because its inode has the number of an earlier one", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    await user.member("web", "rightful");
    const victim = await lab.host.namespace();
    const namespace = await refOf(user, victim);
    await user.ok("daemon", "stop");
    await forge(user, ({ members, ...state }) => ({
      ...state,
      members: members.map((each) => ({ ...each, namespace })),
    }));
    const stayed = `${user.directory}.stayed`;
    const before = await lab.host.user.output(["cat", stayed]);
    expect(before).toMatch(/^\d+:\d+ \d+\n$/);
    const reused = before.replace(/^\d+:\d+/, namespace.id);
    await lab.host.user.output(["sh", "-c", `cat > ${stayed}`], { input: reused });
    await daemonRuns(user);
    expect(await user.members()).toEqual([]);
    expect(await interfaces(victim)).toEqual(["1: lo"]);
    expect(await refusals(user)).toEqual([
      expect.stringContaining("rightful is not restored: its namespace is gone"),
    ]);
    // The list is good for one start.
    expect((await lab.host.user.run(["test", "-e", stayed])).code).toBe(1);
  });
});

test("a run that a compromised daemon has written into its state has names and addresses, and no namespace", async ({
  lab,
}) => {
  await using user = await DaemonUser.create(lab);
  for (const name of ["web", "inner"]) await user.ok("network", "create", name);
  const victim = await lab.host.namespace();
  const namespace = await refOf(user, victim);
  await user.ok("daemon", "stop");
  const forged = {
    id: "f".repeat(64),
    name: "forged",
    namespace,
    attachments: [{ network: "web" }],
  };
  await forge(user, (state) => ({ ...state, awaited: [forged] }));
  await daemonRuns(user);
  expect(await user.members()).toMatchObject([{ name: "forged", pid: null, netns: null }]);
  for (const command of [
    ["network", "connect", "inner", "forged"],
    ["status", "--name", "forged"],
  ]) {
    expect(await user.refusal(...command)).toMatch(/^1 slipway: [^\n]*forged is not /);
  }
  expect(await interfaces(victim)).toEqual(["1: lo"]);
});

describe("a run that is not back yet when the next daemon runs", () => {
  const run = ["run", "--network", "web", "--name", "kept"];
  const place = ["--subnet", "10.94.0.0/24"];

  test.for(endings)(
    "has its network, name and address when the daemon %s",
    async ([, end], { lab }) => {
      await using user = await DaemonUser.create(lab);
      await user.ok("network", "create", "web", ...place);
      const kept = lab.host.slipway([...run, "--", "sh", "-c", "echo up; exec sleep 4328"], {
        env: user.env,
      });
      await kept.printed(/up/);
      const { v4 } = await user.addressesOf("kept", "web");
      // It cannot join again before it continues.
      kept.kill("SIGSTOP");
      for (const _ of ["the daemon that served it", "the daemon that has reserved"]) {
        await end(user);
        await daemonRuns(user);
        expect(await user.refusal("network", "rm", "web")).toContain("network web is in use");
      }
      expect(await user.ok("network", "prune")).toBe("");
      const other = ["run", "--network", "web"];
      expect(await user.refusal(...other, "--name", "kept", "--", "true")).toContain(
        "the name kept is taken by a member on web",
      );
      expect(await user.refusal(...other, "--ip", v4, "--", "true")).toMatch(/is taken by kept/);
      expect(await user.addressesOf("kept", "web")).toMatchObject({ v4 });
      kept.kill("SIGCONT");
      await eventually(async () =>
        expect(await user.ok(...other, "--", "dig", "+short", "+tries=1", "kept", "A")).toBe(
          `${v4}\n`,
        ),
      );
      expect(await user.addressesOf("kept", "web")).toMatchObject({ v4 });
      kept.kill("SIGKILL");
      await kept.exit;
      await eventually(() => user.ok("network", "rm", "web"));
    },
  );

  test("has nothing any more when it has ended, before or after the daemon's start", async ({
    lab,
  }) => {
    await using user = await DaemonUser.create(lab);
    for (const isBefore of [true, false]) {
      await user.ok("network", "create", "web", ...place);
      const ending = lab.host.slipway([...run, "--", "sh", "-c", "echo up; exec sleep 4329"], {
        env: user.env,
      });
      await ending.printed(/up/);
      const [{ pid } = { pid: null }] = await user.members();
      ending.kill("SIGSTOP");
      await user.ok("daemon", "stop");
      if (!isBefore) await daemonRuns(user);
      ending.kill("SIGKILL");
      await ending.exit;
      // Its command ends with it.
      await eventually(async () => expect(existsSync(`/proc/${pid}`)).toBe(false));
      if (isBefore) await daemonRuns(user);
      await eventually(async () => expect(await user.members()).toEqual([]));
      await user.ok("network", "rm", "web");
    }
  });
});

describe("members that stay", () => {
  test("keep their interfaces when the daemon is killed, and get new ones with another supervisor", async ({
    lab,
  }) => {
    await using user = await DaemonUser.create(lab);
    for (const name of ["web", "inner"]) await user.ok("network", "create", name);
    const { namespace, addresses } = await user.member("web", "both", "--alias", "one");
    await user.ok("network", "connect", "inner", `${namespace.pid}`);
    const before = await interfaces(namespace);
    expect(before).toHaveLength(3);
    const inner = await user.addressesOf("both", "inner");
    for (const [, end] of endings) {
      await end(user);
      await daemonRuns(user);
      await eventually(async () => {
        expect(await user.addressesOf("both", "web")).toEqual(addresses);
        expect(await user.addressesOf("both", "inner")).toEqual(inner);
      });
      const answer = ["dig", "+short", "+tries=1", "+timeout=2", "one", "A"];
      await eventually(async () =>
        expect(await namespace.output(answer)).toBe(`${addresses.v4}\n`),
      );
      const names = (await interfaces(namespace)).map((each) => each.replace(/^\d+: /, ""));
      expect(names).toEqual(["lo", "eth0", "eth1"]);
      if (end === endings[0][1]) expect(await interfaces(namespace)).toEqual(before);
    }
  });

  test("wait for their supervisor after a crash: a daemon that is started before takes nothing from them", async ({
    lab,
  }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    const { namespace, addresses } = await user.member("web", "patient");
    const before = await interfaces(namespace);
    const { pid, supervisor } = await processesOf(user);
    await lab.host.user.output(["kill", "-STOP", supervisor]);
    await lab.host.user.output(["kill", "-KILL", pid]);
    const early = lab.host.slipway(["daemon", "run"], { env: user.env });
    await eventually(async () => {
      const children = readFileSync(`/proc/${early.pid}/task/${early.pid}/children`, "utf8");
      expect(children).not.toBe("");
    });
    await lab.host.user.output(["kill", "-CONT", supervisor]);
    const { code, stderr } = await early.ended(20_000);
    expect(`${code} ${stderr}`).toBe(
      "1 slipway: the daemon is already running: slipway daemon status\n",
    );
    await eventually(async () =>
      expect(await user.addressesOf("patient", "web")).toEqual(addresses),
    );
    expect(await interfaces(namespace)).toEqual(before);
    expect(await refusals(user)).toEqual([]);
  });

  test("have no interface after they were disconnected, also after a crash", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "web");
    const { namespace } = await user.member("web", "brief");
    await user.kill();
    await eventually(async () => expect(await user.members()).toHaveLength(1));
    await user.ok("network", "disconnect", "web", "brief");
    expect(await interfaces(namespace)).toEqual(["1: lo"]);
    await user.kill();
    await eventually(() => user.ok("daemon", "status"));
    expect(await user.members()).toEqual([]);
    expect(await interfaces(namespace)).toEqual(["1: lo"]);
    expect(await refusals(user)).toEqual([]);
  });
});
