import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DescriptorLedger } from "../../src/admission/descriptor-ledger.ts";
import { DescriptorQuotas } from "../../src/admission/descriptors.ts";
import { Session } from "../../src/client/session.ts";
import { Daemon } from "../../src/daemon/daemon.ts";
import { DataPlane, type StartWorker } from "../../src/daemon/workers/plane.ts";
import { Loop } from "../../src/loop/loop.ts";
import { type DaemonEvent, isMethod, methods, PROTOCOL_VERSION } from "../../src/rpc/messages.ts";
import { namespaceRef } from "../../src/rpc/namespaces.ts";
import { native } from "../../src/sys/native.ts";
import { LineSocket } from "../../src/sys/sockets/line-socket.ts";
import { connectLocal } from "../../src/sys/sockets/local-socket.ts";
import { socketPair } from "../../src/sys/sockets/socket.ts";
import { TapStore } from "../../src/sys/tap-store.ts";

// What several clients of one daemon may do. The threads serve nothing here: e2e tests have the rest.

/** Called when a thread is to publish ports, or to end an attachment: what it calls in turn has the thread answer. */
let onPublish: (answer: () => void) => void;
let onDetach: (answer: () => void) => void;

/** Succeeds in everything. */
const start: StartWorker = (_slot, { onMessage, onEnd }) => ({
  post: (message) => {
    if (message.kind !== "call") return;
    const { number, call } = message;
    const result = call.name === "statistics" || call.name === "publish" ? [] : null;
    const answer = (): void => {
      onMessage({ kind: "result", number, result });
      if (call.name === "stop") onEnd(null);
    };
    setImmediate(() => {
      if (call.name === "publish") onPublish(answer);
      else if (call.name === "detach") onDetach(answer);
      else answer();
    });
  },
  end: () => undefined,
});

let directory: string;
let loop: Loop;
let plane: DataPlane;
let daemon: Daemon;
let sessions: Session[];

/** @param state of the daemon before; null: there was none */
function begin(state: object | null): void {
  directory = mkdtempSync(join(tmpdir(), "daemon-"));
  if (state !== null) writeFileSync(join(directory, "state.json"), JSON.stringify(state));
  loop = new Loop();
  loop.start();
  plane = new DataPlane(start, 1, new DescriptorQuotas(DescriptorLedger.create(1_000), () => 0));
  sessions = [];
  const file = (name: string) => join(directory, name);
  daemon = new Daemon({
    loop,
    plane,
    paths: {
      socket: file("api.sock"),
      launchers: file("launchers.sock"),
      lock: file("daemon.lock"),
      state: file("state.json"),
      stateLock: file("state.lock"),
      stayed: file("stayed"),
      log: file("daemon.log"),
    },
    listener: null,
    audience: "user",
    settings: {},
    warnings: [],
    store: new TapStore(null, loop, () => undefined),
    openOverlays: null,
    isRestarted: true,
    writable: [],
    onStop: () => undefined,
  });
}

/** @returns the state file */
async function end(): Promise<string> {
  vi.useRealTimers();
  for (const session of sessions) session.close();
  daemon.close();
  await plane.close();
  loop.stop();
  const file = join(directory, "state.json");
  const state = existsSync(file) ? readFileSync(file, "utf8") : "";
  rmSync(directory, { recursive: true });
  return state;
}

beforeEach(() => {
  onPublish = (answer) => answer();
  onDetach = (answer) => answer();
  begin(null);
});
afterEach(async () => {
  await end();
});

async function client(): Promise<Session> {
  const session = await Session.open(join(directory, "api.sock"), loop, () => undefined);
  if (session === null) throw new Error("nobody listens");
  sessions.push(session);
  return session;
}

/** A client that keeps the TAPs of its member, as `slipway run` does, and what it is told. */
async function holder(
  name: string,
  network = "web",
): Promise<{ session: Session; events: DaemonEvent[] }> {
  const session = await client();
  const events: DaemonEvent[] = [];
  session.onEvent = (event) => events.push(event);
  await session.request("member.join", {
    name,
    keepsTaps: true,
    attachments: [{ network }],
  });
  return { session, events };
}

function namespace(netns: string) {
  return { netns, id: netns };
}

/** A handle of something that is no socket. */
function aFile(): number {
  const file = openSync(devNull, "r");
  const handle = native.copyFd(file);
  closeSync(file);
  return handle;
}

function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

test("a member is started by the client that keeps its TAPs, and by nobody else", async () => {
  const [other, waiting] = [await client(), await client()];
  await other.request("network.create", { name: "web" });
  const { session: own } = await holder("app");
  const located = waiting.request("member.locate", { name: "app", waits: true });
  await other.request("member.started", { member: "app", namespace: namespace("/theirs") });
  const now = await other.request("member.locate", { name: "app" });
  expect(now?.netns).toBeNull();
  await own.request("member.started", { member: "app", namespace: namespace("/own") });
  expect((await located)?.netns).toBe("/own");
});

test("a disconnect is confirmed by the client that keeps the TAP, and only what it was told", async () => {
  const [other, disconnecting] = [await client(), await client()];
  await other.request("network.create", { name: "web" });
  const { session: own, events } = await holder("app");
  const { session: another } = await holder("db");
  let isDone = false;
  const disconnected = disconnecting
    .request("member.disconnect", { network: "web", member: "app" })
    .finally(() => {
      isDone = true;
    });
  await expect.poll(() => events).toMatchObject([{ event: { kind: "detached" }, serial: 1 }]);
  await other.request("member.confirm", { serial: 1 });
  await another.request("member.confirm", { serial: 1 });
  await own.request("member.confirm", { serial: 2 });
  // By then an answer would have come: all are answered in turn.
  for (let round = 0; round < 5; round += 1) await other.request("status", {});
  expect(isDone).toBe(false);
  await own.request("member.confirm", { serial: 1 });
  expect(await disconnected).toEqual({ kept: null });
});

test("what a run has is in the state after the daemon's end, though client and thread end, too", async () => {
  const { session } = await holder("app", "bridge");
  const own = namespaceRef("/proc/self/ns/net", null, process.pid);
  const place = { member: "app", network: "bridge", ifname: "eth0", namespace: own };
  const tap = aFile();
  await session.request("member.attach", place, tap);
  native.close(tap);
  const state = JSON.parse(await end());
  begin(null);
  expect(state.awaited).toMatchObject([
    { name: "app", namespace: own, attachments: [{ network: "bridge" }] },
  ]);
});

test("a network is removed when what its last member sent last has been passed on", async () => {
  const other = await client();
  for (const name of ["web", "idle"]) await other.request("network.create", { name });
  const { session: own } = await holder("app");
  const tap = aFile();
  await own.request("member.attach", { member: "app", network: "web", ifname: "eth0" }, tap);
  native.close(tap);
  const answers: (() => void)[] = [];
  onDetach = (answer) => answers.push(answer);
  own.close();
  await expect.poll(() => answers).toHaveLength(1);
  expect(await other.request("member.list", {})).toEqual([]);
  await other.request("network.remove", { name: "idle" });
  const removed = other.request("network.remove", { name: "web" });
  // The daemon has read it when another client, which connects later, has its answer.
  await (await client()).request("status", {});
  answers[0]?.();
  expect(await removed).toEqual({});
});

test("ports of a member on no network are not refused as if it had internal ones", async () => {
  const own = await client();
  const { id: member } = await own.request("member.join", { name: "app", attachments: [] });
  await expect(own.request("member.publish", { member, ports: ["8080:80"] })).rejects.toThrow(
    "app is on no network: ports are published on networks that lead outside",
  );
});

test("ports are not published if their network is left meanwhile, and the client is told", async () => {
  const other = await client();
  await other.request("network.create", { name: "web" });
  const { session: own, events } = await holder("app");
  const place = { member: "app", network: "web", ifname: "eth0", namespace: namespace("/own") };
  const tap = aFile();
  await own.request("member.attach", place, tap);
  native.close(tap);
  const answers: (() => void)[] = [];
  onPublish = (answer) => answers.push(answer);
  const published = own.request("member.publish", { member: "app", ports: ["8080:80"] });
  await expect.poll(() => answers).toHaveLength(1);
  const disconnected = other.request("member.disconnect", { network: "web", member: "app" });
  await expect.poll(() => events).toMatchObject([{ event: { kind: "detached" }, serial: 1 }]);
  answers[0]?.();
  await expect(published).rejects.toThrow("app is on no network: ports are published on networks");
  await own.request("member.confirm", { serial: 1 });
  await disconnected;
});

test("requests wait until a run is back that was there before, and no request of its own does", async () => {
  await end();
  // However slow the machine is, nobody waits too long.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const namespace = namespaceRef("/proc/self/ns/net", null, process.pid);
  const run = { id: "a".repeat(64), name: "back", keepsTaps: true, attachments: [], namespace };
  begin({ version: 2, networks: [], members: [], awaited: [run] });
  const [asking, running, looking] = [await client(), await client(), await client()];
  const answers: string[] = [];
  const listed = asking.request("member.list", {}).then((members) => {
    answers.push(`listed ${members.map(({ pid }) => pid)}`);
  });
  expect(await looking.request("status", {})).toMatchObject({ members: 1 });
  await running.request("member.join", run);
  answers.push("joined");
  await running.request("member.started", { member: run.id, namespace });
  await listed;
  expect(answers).toEqual(["joined", `listed ${process.pid}`]);
});

test("a member is named by a PID in decimal only", async () => {
  const session = await client();
  await session.request("network.create", { name: "web" });
  await session.request("member.join", {
    name: "app",
    namespace: { ...namespace("/own"), pid: 16 },
    attachments: [{ network: "web" }],
  });
  for (const member of ["0x10", "1.6e1", " 16", "+16", "16.0", ""]) {
    const refused = session.request("member.disconnect", { network: "web", member });
    await expect(refused).rejects.toThrow(`there is no member ${member}`);
  }
  expect(await session.request("member.disconnect", { network: "web", member: "16" })).toEqual({
    kept: null,
  });
});

test("member.api serves sockets, and nothing else that comes along", async () => {
  const session = await client();
  await session.request("network.create", { name: "web" });
  await session.request("member.join", { name: "app", attachments: [{ network: "web" }] });
  const tap = aFile();
  await session.request("member.attach", { member: "app", network: "web", ifname: "eth0" }, tap);
  const pair = socketPair();
  if (typeof pair === "number") throw new Error("no sockets");
  const internet = native.socket(2, 1, 0);
  const api = (passed: number | null) => session.request("member.api", { member: "app" }, passed);
  expect(await api(pair[0])).toEqual({});
  for (const wrong of [tap, internet, null]) {
    await expect(api(wrong)).rejects.toThrow("member.api: no UNIX socket came along");
  }
  for (const handle of [tap, internet, ...pair]) native.close(handle);
});

test("a descriptor that comes with any request, or with none, is closed", async () => {
  const session = await client();
  const file = aFile();
  const lines = new LineSocket(connectLocal(join(directory, "api.sock")), loop, 1 << 20, {
    onLine: () => undefined,
    onEnd: () => undefined,
  });
  await session.request("network.create", { name: "web" });
  const before = openDescriptors();
  for (const method of Object.keys(methods).filter(isMethod)) {
    const params = { member: "nobody", network: "web", name: "web", serial: 1, ports: [] };
    await session.request(method, params as never, file).catch(() => undefined);
  }
  lines.send("nonsense", file);
  lines.send(JSON.stringify({ v: PROTOCOL_VERSION, method: "fly" }), file);
  lines.send(JSON.stringify({ v: PROTOCOL_VERSION + 1, method: "network.list" }), file);
  await expect.poll(openDescriptors).toBe(before);
  lines.close();
  native.close(file);
});
