import { readdirSync } from "node:fs";
import type { Lab } from "../lab/lab.ts";
import type { Namespace } from "../lab/namespace.ts";
import { isOpenToTests } from "../lab/process.ts";
import { isSlipway } from "../lab/product.ts";
import { apiGuest, ask, userDirectory } from "./api-client.ts";
import { DaemonUser } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Only who connected decides who may use our sockets, whatever else it can do: here everybody sees them.

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    await user.ok("daemon", "start");
    await user.ok("network", "create", "web");
    onCleanup(() => user[Symbol.asyncDispose]());
    return user;
  })
  .runIf(isSlipway);

const LIST = '{"execute":"list_hostfwd"}';

/** Publishes a port of the host. */
const ADD = JSON.stringify({
  execute: "add_hostfwd",
  arguments: { proto: "tcp", host_addr: "0.0.0.0", host_port: 8301, guest_port: 80 },
});

/** Asks for an attachment that leads to the host's loopback. */
const JOIN = requestOf("member.join", {
  name: "thief",
  attachments: [{ network: "web" }],
  hostLoopback: true,
});

function requestOf(method: string, params: object): string {
  return `${JSON.stringify({ v: 4, method, params })}\n`;
}

/** Ways to connect, as command prefixes: the identity they give the process. */
const below = {
  "a user namespace": ["unshare", "--user"],
  "a user namespace as its root": ["unshare", "--user", "--map-root-user"],
  "user and PID namespaces": ["unshare", "-Urpf", "--mount-proc"],
  "user and network namespaces": ["unshare", "-Urn"],
} as const;

let serial = 0;

/** Another name of a socket, where nothing of ours hides it. */
async function alias(lab: Lab, socket: string): Promise<string> {
  serial += 1;
  const path = `${await userDirectory(lab)}/alias${serial}`;
  await lab.host.user.output(["ln", socket, path]);
  return path;
}

/** The answer, until the other side closes. */
function asking(socket: string, type = ""): string[] {
  return ["socat", "-t5", "STDIO", `UNIX-CONNECT:${socket}${type}`];
}

/** Connects, and ends at once: a child that has the connection asks. */
function askingByChild(socket: string, request: string): string[] {
  const program = `
    $SIG{PIPE} = "IGNORE";
    my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
    exit if fork;
    select undef, undef, undef, 0.2;
    print $socket $ARGV[1];
    shutdown $socket, 1;
    print <$socket>;
  `;
  return ["perl", "-MIO::Socket::UNIX", "-e", program, socket, request];
}

async function answer(where: Namespace, argv: readonly string[], input: string): Promise<string> {
  return (await where.run(argv, { input })).stdout;
}

function refusalOfApi(text: string): string {
  return (JSON.parse(text) as { error: { desc: string } }).error.desc;
}

function refusalOfDaemon(text: string): string {
  const [line = ""] = text.split("\n");
  return (JSON.parse(line) as { error: { message: string } }).error.message;
}

const SHARED_PLAN = "1";
const SHARED_END = "4";

const OTHER_NETWORK = "serves its own network namespace only, and this client is in another";

describe("the API's socket", () => {
  test("does not serve COMMAND of slipway run, whatever namespaces it makes", async ({ lab }) => {
    const directory = await userDirectory(lab);
    const socket = `${directory}/run.sock`;
    const seen = `${directory}/seen.sock`;
    const ways = [[], ...Object.values(below)].map((way) => [...way, ...asking(seen)].join(" "));
    const script = `
      until test -S ${seen}; do sleep 0.05; done
      ${ways.map((way) => `echo '${ADD}' | ${way}; echo`).join("\n")}
      ${askingByChild(seen, ADD).map(quoted).join(" ")}; sleep 1; echo
      echo asked; exec sleep 1000
    `;
    const options = ["--api-socket", socket];
    const run = lab.host.slipway(["run", ...options, "--", "sh", "-c", script]);
    await expect.poll(() => listing(lab, directory)).toContain("run.sock");
    await lab.host.user.output(["ln", socket, seen]);
    await run.printed(/asked/);
    const answers = run.stdout.split("\n").filter((line) => line.startsWith("{"));
    expect(answers).toHaveLength(ways.length + 1);
    for (const each of answers) expect(refusalOfApi(each)).toContain(OTHER_NETWORK);
    expect(await ask(lab, socket, JSON.parse(LIST))).toMatchObject({ entries: [] });
    expect(run.stderr.match(/refused/g)).toHaveLength(1);
    run.kill("SIGTERM");
    await run.ended(20_000);
  });

  test("serves its own network namespace, in any user namespace, and no guest's", async ({
    lab,
  }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    expect(refusalOfApi(await answer(guest.namespace, asking(socket), ADD))).toContain(
      OTHER_NETWORK,
    );
    const list = [lab.host.slipwayPath, "port", "ls", "--api-socket", socket];
    const told = await guest.run(list);
    expect([told.code, told.stderr]).toEqual([
      1,
      `slipway: the API ${OTHER_NETWORK}: run it outside of the guest (slipway run --api-inside lets COMMAND use the API)\n`,
    ]);
    for (const way of [below["a user namespace"], below["user and PID namespaces"]]) {
      const text = await answer(lab.host.user, [...way, ...asking(socket)], LIST);
      expect(JSON.parse(text)).toMatchObject({ entries: [] });
    }
  });

  test("does not serve the guest in shared mode either", async ({ lab, user }) => {
    const socket = `${await userDirectory(lab)}/shared-peer.sock`;
    await using guest = await lab.guest({
      options: ["--api-socket", socket],
      helper: [
        ...["env", "SLIPWAY_SHARED=1"],
        ...Object.entries(user.env).map(([name, value]) => `${name}=${value}`),
        lab.host.program("slirp4netns"),
      ],
    });
    expect(refusalOfApi(await answer(guest.namespace, asking(socket), ADD))).toContain(
      OTHER_NETWORK,
    );
    expect(await ask(lab, socket, JSON.parse(LIST))).toMatchObject({ entries: [] });
  });

  test("turns away thousands of clients, keeps nothing of them, and serves others meanwhile", async ({
    lab,
  }) => {
    await using api = await apiGuest(lab, {});
    const { guest, socket } = api;
    const before = guest.helper.openDescriptors();
    const flood = guest.spawn(flooding(socket, 5_000));
    while (flood.running) {
      expect(await ask(lab, socket, JSON.parse(LIST))).toMatchObject({ entries: [] });
    }
    expect(await flood.exit).toMatchObject({ code: 0 });
    await expect.poll(() => guest.helper.openDescriptors()).toBe(before);
    expect(guest.helper.stderr.match(/refused/g)).toHaveLength(1);
  });
});

describe("the daemon's socket", () => {
  test("does not serve COMMAND of slipway run, which asks for the host's loopback", async ({
    lab,
    user,
  }) => {
    const seen = await alias(lab, `${user.directory}/daemon/api.sock`);
    const script = [[], ...Object.values(below)]
      .map(
        (way) => `printf '%s\\n' '${JOIN.trim()}' | ${[...way, ...asking(seen)].join(" ")}; echo`,
      )
      .join("\n");
    for (const network of [[], ["--network", "web"]]) {
      const { stdout } = await user.run(...network, "--", "sh", "-c", script).ended(30_000);
      const answers = stdout.split("\n").filter((line) => line !== "");
      expect(answers).toHaveLength(5);
      for (const each of answers) expect(refusalOfDaemon(each)).toContain(OTHER_NETWORK);
    }
    const outside = await answer(lab.host.user, asking(seen), requestOf("member.list", {}));
    expect(JSON.parse(outside)).toMatchObject({ result: [] });
  });

  test("does not serve a process in the host's network, but in another user namespace", async ({
    lab,
    user,
  }) => {
    const socket = `${user.directory}/daemon/api.sock`;
    for (const [name, way] of Object.entries(below)) {
      const text = await answer(lab.host.user, [...way, ...asking(socket)], JOIN);
      const sentence = name.includes("network") ? OTHER_NETWORK : "this client's user namespace";
      expect(refusalOfDaemon(text), name).toContain(sentence);
    }
    const byChild = [...below["a user namespace"], ...askingByChild(socket, JOIN)];
    expect(refusalOfDaemon(await answer(lab.host.user, byChild, ""))).toMatch(
      /this client's user namespace|cannot identify the client/,
    );
  });

  test("serves a client that is not dumpable", async ({ lab, user }) => {
    // A process that executes an unreadable file is not dumpable (execve(2)).
    const program = `${await userDirectory(lab)}/socat`;
    await lab.host.root.shell(`cp "$(command -v socat)" ${program}; chmod 0711 ${program}`);
    const socket = `${user.directory}/daemon/api.sock`;
    const [, ...rest] = asking(socket);
    const list = requestOf("member.list", {});
    expect(JSON.parse(await answer(lab.host.user, [program, ...rest], list))).toEqual({
      result: [],
    });
    const inside = [...below["a user namespace"], program, ...rest];
    expect(refusalOfDaemon(await answer(lab.host.user, inside, list))).toContain(
      "this client's user namespace",
    );
  });

  test("gives slipway itself the reason", async ({ lab, user }) => {
    const env = Object.entries(user.env).map(([name, value]) => `${name}=${value}`);
    for (const command of [
      ["network", "ls"],
      ["daemon", "stop"],
      ["run", "--network", "web", "true"],
    ]) {
      const argv = [...below["a user namespace"], "env", ...env, lab.host.slipwayPath, ...command];
      const { code, stderr } = await lab.host.user.run(argv);
      expect(stderr).toBe(
        "slipway: the daemon does not serve this client's user namespace: run it outside\n",
      );
      expect(code).toBe(1);
    }
  });

  test("turns away thousands of clients, keeps nothing of them, and serves others meanwhile", async ({
    lab,
    user,
  }) => {
    const pid = Number(await user.ok("daemon", "status", "--format", "{{.pid}}"));
    const descriptors = () => (isOpenToTests ? readdirSync(`/proc/${pid}/fd`).length : 0);
    await using namespace = await lab.host.namespace();
    for (const name of ["api.sock", "launchers.sock"]) {
      const before = descriptors();
      const socket = `${user.directory}/daemon/${name}`;
      const flood = namespace.spawn(flooding(socket, 5_000, name === "api.sock" ? 1 : 5));
      while (flood.running) expect(await user.members()).toEqual([]);
      expect(await flood.exit).toMatchObject({ code: 0 });
      // Threads of networks without members end meanwhile.
      await expect.poll(descriptors).toBeLessThanOrEqual(before);
    }
    const log = await lab.host.user.output(["cat", `${user.directory}/daemon.log`]);
    expect(log.match(/launchers' socket: refused/g)).toHaveLength(1);
  });
});

test("the launchers' socket does not serve a process that only claims to be on the host", async ({
  lab,
  user,
}) => {
  const seen = await alias(lab, `${user.directory}/daemon/launchers.sock`);
  const host = await lab.host.user.output([
    "stat",
    "-L",
    "-c",
    "%d:%i",
    "/proc/self/ns/net",
    "/etc/resolv.conf",
  ]);
  const [network = "", resolvConf = ""] = host.split("\n");
  const { namespace } = await lab.guest();
  // SHARED_REQUEST of native/launcher/shared/protocol.h, version 2.
  const texts = [
    network,
    resolvConf,
    "1",
    "slipway",
    "attach",
    "--ipv6-cidr=fd00::/64",
    "-p",
    "8302:80",
    "/proc/1/ns/net",
    "tap0",
  ];
  const request = `\\x01\\x00\\x00\\x00\\x02\\x00\\x00\\x00${texts.map((each) => `${each}\\x00`).join("")}`;
  const script = `printf '${request}' | ${asking(seen, ",type=5").join(" ")} | od -An -tu4 -N4`;
  const kindOf = async (where: Namespace, way: readonly string[] = []) =>
    (await where.output([...way, "bash", "-c", script])).trim();
  expect(await kindOf(lab.host.user)).toBe(SHARED_PLAN);
  // A client that sends after the connection was closed gets no answer.
  const refused = [SHARED_END, ""];
  expect(refused).toContain(await kindOf(namespace));
  for (const way of Object.values(below)) {
    expect(refused).toContain(await kindOf(lab.host.user, way));
    expect(refused).toContain(await kindOf(namespace, way));
  }
});

test("if /proc hides processes, the daemon checks only the network namespace, and says so", async ({
  lab,
  skip,
}) => {
  if (!lab.host.stage.privileged) skip("only root may mount /proc");
  const user = await DaemonUser.create(lab);
  const hiding = lab.host.userAfter("mount -t proc -o hidepid=invisible proc /proc");
  const slipway = (...args: string[]) =>
    hiding.output([lab.host.slipwayPath, ...args], { env: user.env });
  await slipway("daemon", "start");
  expect(await slipway("network", "ls", "-q", "-f", "type=custom")).toBe("");
  const seen = await alias(lab, `${user.directory}/daemon/api.sock`);
  const script = `printf '%s\\n' '${JOIN.trim()}' | ${asking(seen).join(" ")}`;
  expect(refusalOfDaemon(await slipway("run", "--", "sh", "-c", script))).toContain(OTHER_NETWORK);
  const log = await lab.host.user.output(["cat", `${user.directory}/daemon.log`]);
  expect(log).toContain("/proc hides processes (hidepid)");
  await slipway("daemon", "stop");
});

async function listing(lab: Lab, directory: string): Promise<string> {
  return lab.host.user.output(["ls", directory]);
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** Connects this many times, one after the other. */
function flooding(socket: string, times: number, type = 1): string[] {
  const program = `
    for (1..$ARGV[1]) {
      socket(SOCKET, 1, $ARGV[2], 0) or die;
      connect(SOCKET, pack_sockaddr_un($ARGV[0])) or die;
    }
  `;
  return ["perl", "-MSocket", "-e", program, socket, `${times}`, `${type}`];
}
