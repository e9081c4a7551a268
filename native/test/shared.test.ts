import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { constants, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launcherFile, sanitizerEnvironment } from "./launcher-file.js";
import type { Native } from "./subject-main.js";

// The launcher's side of shared mode (launcher/shared/protocol.h), against a daemon that may say anything.

/** Not that of TUNTAP2_ADDON, which cannot be loaded here: only sockets are wanted of it. */
const native: Native = createRequire(import.meta.url)("../build/tuntap2.node");

const Local = 1;
const SequencedPackets = 5;

const ToDaemon = { Request: 1, Tap: 2, Api: 3, Done: 4, Agent: 5 };
const Plan = 1;
const Up = 2;
const Keep = 3;
const End = 4;
const Answer = 5;

/** An installation whose bundle tells that it was started, and with what. */
let root: string;
let listener: number;
/** A process in namespaces of its own. */
let held: ChildProcess;

const mem = new Uint8Array(new ArrayBuffer(256));
const memory = native.registerMemory(mem.buffer);
const chunk = new Uint8Array(64 * 1024);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "shared-"));
  for (const folder of ["bin", "dist", "slipway/daemon"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  copyFileSync(launcherFile, join(root, "bin/slipway"));
  for (const name of ["slirp4netns", "pasta"]) symlinkSync("slipway", join(root, "bin", name));
  writeFileSync(
    join(root, "dist/slipway.cjs"),
    `
    const { SLIPWAY_TAKEN: taken, SLIPWAY_UNSHARED: unshared } = process.env;
    const kept = taken?.split(",")[2];
    const text = kept > 0 ? require("fs").readFileSync("/proc/self/fd/" + kept, "utf8") : null;
    console.log(JSON.stringify({ isTaken: taken !== undefined, kept: text, unshared }));
  `,
  );
  listener = native.socket(Local, SequencedPackets, 0);
  const path = Buffer.from(join(root, "slipway/daemon/launchers.sock"));
  mem[0] = Local;
  mem.set(path, 2);
  expect(native.bind(listener, memory, 0, 2 + path.length + 1)).toBe(0);
  expect(native.listen(listener, 16)).toBe(0);
  held = spawn("unshare", ["-Urn", "sh", "-c", "echo; exec sleep 1000"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (held.stdout !== null) await once(held.stdout, "data");
});
afterAll(() => {
  held.kill();
  native.close(listener);
  native.unregisterMemory(memory);
  rmSync(root, { recursive: true });
});

/** Asks again until there is something; the test's own limit is the limit. */
async function eventually<T>(look: () => T | null): Promise<T> {
  for (;;) {
    const found = look();
    if (found !== null) return found;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

interface Received {
  /** 0 at the end. */
  readonly kind: number;
  readonly number: number;
  readonly texts: readonly string[];
  readonly passed: number;
}

/** The daemon's end of a launcher's connection. */
class Peer {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static async accept(): Promise<Peer> {
    const fd = await eventually(() => {
      const accepted = native.accept(listener, memory, 128, 110);
      return accepted < 0 ? null : accepted;
    });
    return new Peer(fd);
  }

  async receive(): Promise<Received> {
    const came = await eventually(() => {
      const result = native.receivePassed(this.#fd, chunk);
      return typeof result === "number" ? null : result;
    });
    const bytes = Buffer.from(chunk.subarray(0, came.length));
    if (bytes.length < 8) return { kind: 0, number: 0, texts: [], passed: came.passed };
    const texts = bytes.subarray(8).toString().split("\0").slice(0, -1);
    return {
      kind: bytes.readUInt32LE(0),
      number: bytes.readInt32LE(4),
      texts,
      passed: came.passed,
    };
  }

  send(message: Uint8Array): void {
    native.sendPassing(this.#fd, message, null);
  }

  close(): void {
    native.close(this.#fd);
  }

  /** Waits for the launcher's last word, and gives back what came with those before. */
  async end(): Promise<void> {
    for (;;) {
      const { kind, passed } = await this.receive();
      if (passed >= 0) native.close(passed);
      if (kind === 0) break;
    }
    this.close();
  }
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeInt32LE(value, 4 * index);
  return bytes;
}

function message(kind: number, number: number, ...parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat([words(kind, number), ...parts.map((part) => Buffer.from(part))]);
}

interface PlanFields {
  readonly ready: number;
  readonly exit: number;
  readonly pid: number;
  readonly netns: string;
  readonly userns: string;
  readonly tap: string;
  readonly api: string;
}

function usual(tap: string): PlanFields {
  const pid = held.pid ?? 0;
  return { ready: 3, exit: -1, pid, netns: `/proc/${pid}/ns/net`, userns: "", tap, api: "" };
}

/** As a command that asks has it: with the process that holds the namespace, if any. */
function unnamed(): PlanFields {
  return { ...usual(""), ready: -1, pid: -1 };
}

function plan({ ready, exit, pid, netns, userns, tap, api }: PlanFields): Buffer {
  return Buffer.concat([
    words(Plan, ready, exit, pid),
    Buffer.from([netns, userns, tap, api].map((text) => `${text}\0`).join("")),
  ]);
}

/** RTM_NEWLINK for lo: up. rtnetlink(7) */
const loopbackUp = Buffer.concat([
  Buffer.from([32, 0, 0, 0, 16, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
  words(0, 1, 1, 1),
]);

function setting(request: Uint8Array, length = request.length): Buffer {
  return Buffer.concat([words(length, 0), request]);
}

interface Started {
  readonly process: ChildProcess;
  readonly pid: number;
  /** How it ended, with what it wrote; to its ready-fd, too. */
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string; ready: string }>;
}

function start(name: string, args: readonly string[], runtime = root): Started {
  const env = { XDG_RUNTIME_DIR: runtime, SLIPWAY_SHARED: "1", SLIPWAY_NODE: process.execPath };
  const child = spawn(join(root, "bin", name), args, {
    env: { ...env, ...sanitizerEnvironment },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const outputs = ["", "", ""];
  for (const [index, stream] of [child.stdout, child.stderr, child.stdio[3]].entries()) {
    stream?.on("data", (part: Buffer) => {
      outputs[index] += part.toString();
    });
  }
  const ended = once(child, "close").then(([code]) => {
    const [stdout = "", stderr = "", ready = ""] = outputs;
    return { code, stdout, stderr, ready };
  });
  return { process: child, pid: child.pid ?? 0, ended };
}

let serial = 0;

/** A launcher that wants a guest. */
async function startGuest(...options: readonly string[]) {
  serial += 1;
  const tap = `tap${serial}`;
  const launcher = start("slirp4netns", [...options, "-c", "-r", "3", `${held.pid}`, tap]);
  const peer = await Peer.accept();
  const request = await peer.receive();
  expect(request).toMatchObject({ kind: ToDaemon.Request, number: 2, passed: -1 });
  expect(request.texts.slice(2)).toEqual([
    `${launcher.pid}`,
    "slirp4netns",
    ...options,
    ...["-c", "-r", "3", `${held.pid}`, tap],
  ]);
  return { launcher, peer, tap };
}

/** @param started when the process of the namespace was; "" where none is named */
async function receiveTap(
  peer: Peer,
  name: string,
  started: unknown = expect.stringMatching(/^\d+$/),
): Promise<void> {
  const came = await peer.receive();
  expect(came).toMatchObject({ kind: ToDaemon.Tap });
  expect(came.texts).toEqual([...[name, expect.stringMatching(/^\d+:\d+$/), started]]);
  expect(came.passed).toBeGreaterThan(2);
  native.close(came.passed);
}

describe("a guest", () => {
  test("is served until the daemon ends it", async () => {
    const { launcher, peer, tap } = await startGuest();
    peer.send(plan(usual(tap)));
    await receiveTap(peer, tap);
    peer.send(message(Up, 2, setting(loopbackUp), setting(loopbackUp), "all is up\n"));
    peer.send(Buffer.concat([words(Keep), Buffer.from("kept")]));
    peer.send(message(End, 3, "that was it"));
    await peer.end();
    expect(await launcher.ended).toEqual({
      code: 3,
      stdout: "all is up\n",
      stderr: "slirp4netns: that was it\n",
      ready: "1",
    });
  });

  test("is served with as many settings as there may be", async () => {
    const { launcher, peer, tap } = await startGuest();
    peer.send(plan(usual(tap)));
    await receiveTap(peer, tap);
    const settings = Array.from({ length: 1280 }, () => setting(loopbackUp));
    peer.send(message(Up, settings.length, ...settings, "all is up\n"));
    peer.send(message(End, 3));
    await peer.end();
    expect(await launcher.ended).toMatchObject({ code: 3, stdout: "all is up\n", ready: "1" });
  });

  const before: readonly (readonly string[])[] = [
    ["-r", "3", "-c"],
    ["-c6", "-r", "3"],
    ["-r", "3", "--mtu=1500"],
    ["--ready-fd=3", "--mtu", "1500"],
    ["-r", "3", "--enable-ipv6"],
  ];
  test.for(before.map((options) => ({ options })))(
    "is served with its process behind $options",
    async ({ options }) => {
      const launcher = start("slirp4netns", [...options, `${held.pid}`, "tap0"]);
      const peer = await Peer.accept();
      await peer.receive();
      peer.send(plan(usual("tap0")));
      await receiveTap(peer, "tap0");
      peer.send(message(Up, 1, setting(loopbackUp), "all is up\n"));
      peer.send(message(End, 3));
      await peer.end();
      expect(await launcher.ended).toMatchObject({ code: 3, stdout: "all is up\n", ready: "1" });
    },
  );

  const spoilt: readonly (readonly [string, (directory: string) => void])[] = [
    ["in which others may write", (directory) => chmodSync(directory, 0o777)],
    [
      "that has a link to one in which others may write",
      (directory) => {
        mkdirSync(`${directory}/open`);
        chmodSync(`${directory}/open`, 0o777);
        rmSync(`${directory}/slipway`);
        symlinkSync("../../slipway", `${directory}/open/slipway`);
        symlinkSync("open/slipway", `${directory}/slipway`);
      },
    ],
    [
      "that is a link without end",
      (directory) => {
        rmSync(`${directory}/slipway`);
        symlinkSync("slipway", `${directory}/slipway`);
      },
    ],
  ];
  test.for(spoilt)("is not served through a directory %s", async ([, spoil]) => {
    const directory = mkdtempSync(join(root, "runtime-"));
    symlinkSync("../slipway", join(directory, "slipway"));
    spoil(directory);
    const launcher = start("slirp4netns", ["-c", `${held.pid}`, "tap0"], directory);
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
    expect(native.accept(listener, memory, 128, 110)).toBe(-constants.errno.EAGAIN);
  });

  test("is served through links that only root and the user can change", async () => {
    const directory = mkdtempSync(join(root, "runtime-"));
    symlinkSync("../slipway", join(directory, "slipway"));
    const launcher = start("slirp4netns", ["-c", `${held.pid}`, "tap0"], directory);
    const peer = await Peer.accept();
    await peer.receive();
    // It is not answered.
    await peer.end();
    expect(JSON.parse((await launcher.ended).stdout)).toEqual({
      isTaken: false,
      kept: null,
      unshared: `the daemon (process ${process.pid}) does not answer: if it stays so, kill -KILL ${process.pid}, and try again`,
    });
  });

  test("is taken over by a new process when the daemon dies", async () => {
    const { launcher, peer, tap } = await startGuest();
    peer.send(plan(usual(tap)));
    await receiveTap(peer, tap);
    peer.send(message(Up, 0));
    for (const text of ["much too old", "kept"]) {
      peer.send(Buffer.concat([words(Keep), Buffer.from(text)]));
    }
    peer.close();
    expect(await launcher.ended).toMatchObject({
      code: 0,
      ready: "1",
      stdout: '{"isTaken":true,"kept":"kept"}\n',
    });
  });

  test("has an API socket, whose file is removed also when the launcher is killed", async () => {
    const api = join(root, "api.sock");
    const { launcher, peer, tap } = await startGuest("-a", api);
    peer.send(plan({ ...usual(tap), api }));
    await receiveTap(peer, tap);
    const socket = await peer.receive();
    expect(socket).toMatchObject({ kind: ToDaemon.Api });
    expect(socket.passed).toBeGreaterThan(2);
    peer.send(message(Up, 0));
    // Its keeper is there.
    await eventually(() => (children(launcher.pid).includes("slipway-keeper") ? true : null));
    expect(existsSync(api)).toBe(true);
    launcher.process.kill("SIGKILL");
    await eventually(() => (existsSync(api) ? null : true));
    native.close(socket.passed);
    await peer.end();
    await launcher.ended;
  });

  const others: readonly (readonly [string, (tap: string) => Uint8Array])[] = [
    ["another namespace", (tap) => plan({ ...usual(tap), netns: "/proc/1/ns/net" })],
    ["another process", (tap) => plan({ ...usual(tap), pid: 1 })],
    ["another user namespace", (tap) => plan({ ...usual(tap), userns: "/proc/1/ns/user" })],
    ["another TAP", (tap) => plan({ ...usual(tap), tap: "tap999" })],
    ["another API socket", (tap) => plan({ ...usual(tap), api: "/tmp/other.sock" })],
    ["another ready-fd", (tap) => plan({ ...usual(tap), ready: 2 })],
    ["another exit-fd", (tap) => plan({ ...usual(tap), exit: 1 })],
    ["an exit-fd that is another option's value", (tap) => plan({ ...usual(tap), exit: 3 })],
    ["a descriptor that is none", (tap) => plan({ ...usual(tap), exit: -2 })],
    ["no text at all", () => words(Plan, 3, -1, -1)],
    ["half a head", () => words(Plan, 3, -1)],
    ["a byte", () => Buffer.from([Plan])],
    ["a text without an end", (tap) => plan(usual(tap)).subarray(0, -1)],
    ["texts that are too long", (tap) => plan({ ...usual(tap), api: "x".repeat(40_000) })],
    ["another kind", () => message(9, 0)],
  ];
  test.for(others)("is not served by a plan of %s", async ([, lie]) => {
    const { launcher, peer, tap } = await startGuest();
    peer.send(lie(tap));
    peer.send(message(Up, 0)); // it would serve now
    await peer.end();
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
  });

  test("is not served with an API socket of its name elsewhere", async () => {
    const { launcher, peer, tap } = await startGuest();
    mkdirSync(join(root, "elsewhere/slipway"), { recursive: true });
    const api = join(root, `elsewhere/slipway/${launcher.pid}.sock`);
    peer.send(plan({ ...usual(tap), api }));
    expect(await peer.receive()).toMatchObject({ kind: 0, passed: -1 });
    peer.close();
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
  });

  const refusal = Buffer.from("no \u001b[2J\nand more");
  test.for([
    ["before its TAP has arrived", () => []],
    ["instead of a plan", () => [message(End, 1, refusal)]],
    ["after the plan", (tap) => [plan(usual(tap)), message(End, 1, refusal)]],
    ["without a reason", () => [message(End, 1)]],
  ] as readonly (readonly [string, (tap: string) => readonly Uint8Array[]])[])(
    "is refused %s, and --shared is told the reason",
    async ([how, answers]) => {
      const { launcher, peer, tap } = await startGuest("--shared");
      const isEarly = how.startsWith("before");
      if (isEarly) peer.send(message(End, 1, refusal));
      for (const answer of answers(tap)) peer.send(answer);
      if (how === "after the plan") await receiveTap(peer, tap);
      if (isEarly) peer.close();
      else await peer.end();
      const unshared = how === "without a reason" ? "" : "no ?[2J";
      const { stdout } = await launcher.ended;
      expect(JSON.parse(stdout)).toEqual({ isTaken: false, kept: null, unshared });
    },
  );

  test("has its text printed without control characters, and exits with a valid status", async () => {
    const { launcher, peer, tap } = await startGuest();
    peer.send(plan(usual(tap)));
    await receiveTap(peer, tap);
    peer.send(message(Up, 0, "up \u001b[2J\u0007é\n"));
    const hostile = Buffer.from([0x9b, 0x32, 0x4a, 0xc2, 0x9d, 0xe2, 0x82, 0x7f]);
    peer.send(
      message(End, 256, "\u001b]52;c;aGk=\u0007 ", hostile, "\nslipway: a line of its own"),
    );
    await peer.end();
    expect(await launcher.ended).toMatchObject({
      code: 1,
      stdout: "up ?[2J?é\n",
      stderr: "slirp4netns: ?]52;c;aGk=? ?2J?????\n",
    });
  });

  test("ends also while the daemon keeps sending", async () => {
    const { launcher, peer, tap } = await startGuest();
    peer.send(plan(usual(tap)));
    await receiveTap(peer, tap);
    peer.send(message(Up, 0, "up\n"));
    if (launcher.process.stdout !== null) await once(launcher.process.stdout, "data");
    const talk = setInterval(() => peer.send(Buffer.concat([words(Keep), Buffer.from("x")])), 1);
    launcher.process.kill("SIGTERM");
    expect(await launcher.ended.finally(() => clearInterval(talk))).toMatchObject({ code: 0 });
    peer.close();
  });

  const settings: readonly (readonly [string, () => Uint8Array])[] = [
    ["fewer than none", () => message(Up, -1)],
    ["more than are", () => message(Up, 2, setting(loopbackUp))],
    [
      "too many",
      () => message(Up, 1281, ...Array.from({ length: 1281 }, () => setting(loopbackUp))),
    ],
    ["one with half a head", () => message(Up, 1, words(32))],
    ["one that ends behind the message", () => message(Up, 1, setting(loopbackUp, 33))],
    ["one of 4 GiB", () => message(Up, 1, setting(loopbackUp, -1))],
    ["one that is too long", () => message(Up, 1, setting(Buffer.alloc(20_000)))],
    ["an empty one", () => message(Up, 1, setting(Buffer.alloc(0)))],
    ["one that asks for no answer", () => message(Up, 1, setting(Buffer.alloc(16, 16)))],
  ];
  test.for(settings)("is not served with settings: %s", async ([, lie]) => {
    const { launcher, peer, tap } = await startGuest();
    peer.send(plan(usual(tap)));
    await receiveTap(peer, tap);
    peer.send(lie());
    await peer.end();
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
  });
});

describe("a command that asks the daemon", () => {
  test("prints the answer", async () => {
    const launcher = start("slipway", ["ps"]);
    const peer = await Peer.accept();
    expect((await peer.receive()).texts.slice(3)).toEqual(["slipway", "ps"]);
    peer.send(message(Answer, 0, "x".repeat(100_000)));
    await peer.end();
    expect(await launcher.ended).toMatchObject({ code: 0, stdout: "x".repeat(100_000) });
  });

  test("connects a namespace before the answer, by the first free name", async () => {
    const launcher = start("slipway", ["network", "connect", "web", `${held.pid}`]);
    const peer = await Peer.accept();
    await peer.receive();
    peer.send(plan({ ...usual(""), ready: -1 }));
    const { kind, texts, passed } = await peer.receive();
    expect({ kind, name: texts[0] }).toEqual({ kind: ToDaemon.Tap, name: "eth0" });
    expect(texts[2]).toBe(readFileSync(`/proc/${held.pid}/stat`, "utf8").split(" ")[21]);
    peer.send(message(Up, 1, setting(loopbackUp)));
    expect(await peer.receive()).toMatchObject({ kind: ToDaemon.Done });
    native.close(passed);
    peer.send(message(Answer, 0, "it is\n"));
    await peer.end();
    expect(await launcher.ended).toMatchObject({ code: 0, stdout: "it is\n" });
  });

  test("prints an answer without control characters, and exits with a valid status", async () => {
    const launcher = start("slipway", ["ps"]);
    const peer = await Peer.accept();
    await peer.receive();
    peer.send(message(Answer, -256, "NAME\tIP\n\u001b[31mweb\u009b0m\n"));
    await peer.end();
    expect(await launcher.ended).toMatchObject({ code: 1, stdout: "NAME\tIP\n?[31mweb??0m\n" });
  });

  const named: readonly (readonly [string, readonly string[], () => Uint8Array])[] = [
    [
      "named by no more than an empty value",
      ["--ip=", "1234567"],
      () => plan({ ...unnamed(), netns: `/proc/${held.pid}/task/${held.pid}/ns/net` }),
    ],
    ["that is the value of an option", ["--name", "PID", "1234567"], () => plan(unnamed())],
    [
      "whose path is the value of an option",
      ["--name", "/proc/PID/ns/../ns/net", "1234567"],
      () => plan({ ...unnamed(), netns: `/proc/${held.pid}/ns/../ns/net` }),
    ],
    ["that is part of an option", ["--name=PID", "1234567"], () => plan(unnamed())],
    ["until another process ends", ["PID"], () => plan({ ...unnamed(), pid: 1 })],
  ];
  test.for(named)("does not enter a namespace %s", async ([, args, lie]) => {
    const given = args.map((text) => text.replace("PID", `${held.pid}`));
    const launcher = start("slipway", ["network", "connect", "web", ...given]);
    const peer = await Peer.accept();
    await peer.receive();
    peer.send(lie());
    expect(await peer.receive()).toMatchObject({ kind: 0, passed: -1 });
    peer.close();
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
  });

  test.for([
    ["nothing", () => Buffer.alloc(0)],
    ["of another namespace", () => plan({ ...usual(""), ready: -1, netns: "/proc/1/ns/net" })],
    ["a message of a guest's", () => message(Up, 0)],
  ] as const)("is asked by a process instead when it hears %s", async ([, lie]) => {
    const launcher = start("slipway", ["network", "connect", "web", "1234567"]);
    const peer = await Peer.accept();
    await peer.receive();
    const said = lie();
    if (said.length === 0) peer.close();
    else {
      peer.send(said);
      await peer.end();
    }
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
  });
});

/** The command lines of a process's children, of those that have not ended meanwhile. */
function children(pid: number): string {
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").match(/\d+/g) ?? [];
  return pids.map(commandLine).join();
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** A launcher of pasta that wants a guest. */
async function startPasta(...options: readonly string[]) {
  const launcher = start("pasta", [...options, `${held.pid}`]);
  const peer = await Peer.accept();
  const { texts } = await peer.receive();
  expect(texts.slice(3)).toEqual(["pasta", ...options, `${held.pid}`]);
  return { launcher, peer };
}

function usualPasta(): PlanFields {
  return { ...usual("eth0"), ready: -1 };
}

/** Until the network is up. */
async function bringUp(peer: Peer, other: Partial<PlanFields> = {}): Promise<void> {
  const fields = { ...usualPasta(), ...other };
  peer.send(plan(fields));
  await receiveTap(peer, fields.tap, fields.pid < 0 ? "" : undefined);
  peer.send(message(Up, 1, setting(loopbackUp)));
  const came = await peer.receive();
  expect(came).toMatchObject({ kind: ToDaemon.Agent });
  expect(came.passed).toBeGreaterThan(2);
  native.close(came.passed);
}

describe("pasta", () => {
  test("goes on in the background when its network is up, and ends by a signal", async () => {
    const file = join(root, "pasta.pid");
    const { launcher, peer } = await startPasta("--config-net", "-P", file);
    expect(readFileSync(file, "utf8")).toBe("");
    await bringUp(peer);
    expect(await launcher.ended).toEqual({ code: 0, stdout: "", stderr: "", ready: "" });
    const pid = Number(readFileSync(file, "utf8"));
    expect(pid).not.toBe(launcher.pid);
    process.kill(pid, "SIGHUP"); // changes nothing
    process.kill(pid, "SIGTERM");
    await peer.end();
  });

  test("stays in the foreground by -f, with its own number in the file", async () => {
    const file = join(root, "foreground.pid");
    const { launcher, peer } = await startPasta("-f", "-P", file);
    await bringUp(peer);
    await eventually(() => (readFileSync(file, "utf8") === `${launcher.pid}\n` ? true : null));
    launcher.process.kill("SIGTERM");
    await peer.end();
    expect(await launcher.ended).toMatchObject({ code: 0 });
  });

  test("is taken over by a new process when the daemon dies", async () => {
    const { launcher, peer } = await startPasta("-f");
    await bringUp(peer);
    peer.close();
    expect((await launcher.ended).stdout).toBe('{"isTaken":true,"kept":null}\n');
  });

  const others: readonly (readonly [string, Partial<PlanFields>, readonly string[]])[] = [
    ["another namespace", { netns: "/proc/1/ns/net" }, []],
    ["another process", { pid: 1 }, []],
    ["another user namespace", { userns: "/proc/1/ns/user" }, []],
    ["another interface than -I names", { tap: "eth1" }, ["-I", "eth0"]],
    ["no interface", { tap: "" }, []],
    ["a socket for pesto", { api: "/tmp/other.sock" }, ["-P", "/tmp/other.sock"]],
    ["a descriptor", { ready: 3 }, []],
  ];
  test.for(others)("is not served by a plan of %s", async ([, lie, options]) => {
    const { launcher, peer } = await startPasta("-f", ...options);
    peer.send(plan({ ...usualPasta(), ...lie }));
    peer.send(message(Up, 0)); // it would serve now
    await peer.end();
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
  });

  test("ends with the file of its namespace, by whatever name that was given", async () => {
    const file = join(root, "netns");
    symlinkSync(`/proc/${held.pid}/ns/net`, file);
    const netns = relative(process.cwd(), file);
    const launcher = start("pasta", ["-f", "-I", "tap98", "--netns", netns]);
    const peer = await Peer.accept();
    await peer.receive();
    await bringUp(peer, { pid: -1, netns, tap: "tap98" });
    rmSync(file);
    await peer.end();
    expect(await launcher.ended).toMatchObject({ code: 0 });
  });

  test("is not served in a namespace whose file is below the root of a process", async () => {
    const file = join(root, "below");
    symlinkSync(`/proc/${held.pid}/ns/net`, file);
    const netns = `/proc/self/root${file}`;
    const launcher = start("pasta", ["-f", "-I", "tap99", "--netns", netns]);
    const peer = await Peer.accept();
    await peer.receive();
    peer.send(plan({ ...usualPasta(), pid: -1, netns, tap: "tap99" }));
    peer.send(message(Up, 1, setting(loopbackUp)));
    await peer.end();
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
  });

  test("writes no file that is another user's or a link", async () => {
    const link = join(root, "link.pid");
    symlinkSync(join(root, "target"), link);
    const launcher = start("pasta", ["-f", "-P", link, `${held.pid}`]);
    // It asks no daemon: Node says what is wrong.
    expect((await launcher.ended).stdout).toBe('{"isTaken":false,"kept":null}\n');
    expect(existsSync(join(root, "target"))).toBe(false);
  });
});
