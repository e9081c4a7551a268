import { Worker } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { DescriptorLedger } from "../../src/admission/descriptor-ledger.ts";
import { DescriptorQuotas } from "../../src/admission/descriptors.ts";
import type { AttachmentConfig, FromWorker, ToWorker } from "../../src/daemon/workers/messages.ts";
import { DataPlane, type StartWorker } from "../../src/daemon/workers/plane.ts";

/**
 * A thread that answers every call, and `publish` with the facts that it knows. Members with certain ids make it fail:
 * "die" by an exception, "never" by no answer, "refused" by a refusal.
 */
const THREAD = `
  const { parentPort } = require("node:worker_threads");
  const learnt = new Map();
  parentPort.on("message", (message) => {
    if (message.kind === "learn") learnt.set(message.key, message.fact);
    if (message.kind === "forget") learnt.delete(message.key);
    if (message.kind !== "call") return;
    const { number, call } = message;
    const member = call.params?.config?.member;
    if (member === "die") throw new Error("a fault of a test");
    if (member === "never") return;
    if (member === "refused") {
      parentPort.postMessage({ kind: "failure", number, message: "not today", isUsers: true });
      return;
    }
    const result = call.name === "publish" ? [...learnt.keys()] : call.name === "statistics" ? [] : null;
    parentPort.postMessage({ kind: "result", number, result });
  });
`;

const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

/** Real threads, which run the text above instead of the program. */
const start: StartWorker = (_slot, { onMessage, onEnd }) => {
  const worker = new Worker(THREAD, { eval: true });
  workers.push(worker);
  let why: string | null = null;
  worker.on("message", (message: FromWorker) => onMessage(message));
  worker.on("error", (error: Error) => {
    why = error.message;
  });
  worker.on("exit", () => onEnd(why));
  return {
    post: (message: ToWorker) => worker.postMessage(message),
    end: () => void worker.terminate(),
  };
};

function descriptors(): DescriptorQuotas {
  return new DescriptorQuotas(DescriptorLedger.create(1_000), () => 0);
}

function attachment(network: string, member = "m"): AttachmentConfig {
  return {
    network,
    member,
    mac: 1,
    addresses: [],
    hostname: "h",
    hosts: [],
    dns: [],
    hostLoopback: false,
    sources: [],
    tap: 0,
  };
}

const nobody = { onGone: () => undefined, onPorts: () => undefined };

test("threads start when networks need them: one for each, up to the limit", async () => {
  const plane = new DataPlane(start, 2, descriptors());
  plane.learn("a", { kind: "member", id: "a", networks: [] });
  expect(workers).toHaveLength(0);
  plane.prepare("one");
  expect(workers).toHaveLength(1);
  await plane.attach(attachment("one"), nobody).isUp;
  await plane.attach(attachment("one"), nobody).isUp;
  expect(workers).toHaveLength(1);
  await plane.attach(attachment("two"), nobody).isUp;
  expect(workers).toHaveLength(2);
  await plane.attach(attachment("three"), nobody).isUp;
  expect(workers).toHaveLength(2);
  await plane.close();
});

test("a network gets the thread with the fewest attachments, and keeps it", async () => {
  const posted: string[][] = [];
  const recorded: StartWorker = (slot, events) => {
    const link = start(slot, events);
    const networks: string[] = [];
    posted.push(networks);
    return {
      ...link,
      post: (message) => {
        if (message.kind === "call" && message.call.name === "attach")
          networks.push(message.call.params.config.network);
        link.post(message);
      },
    };
  };
  const plane = new DataPlane(recorded, 2, descriptors());
  for (const network of ["one", "one", "two", "three", "one", "two"]) {
    await plane.attach(attachment(network), nobody).isUp;
  }
  expect(posted).toEqual([
    ["one", "one", "one"],
    ["two", "three", "two"],
  ]);
  await plane.close();
});

test("all overlays share one thread, which gets the tunnels, also when it is started again", async () => {
  const posted: string[][] = [];
  const recorded: StartWorker = (slot, events) => {
    const link = start(slot, events);
    const calls: string[] = [];
    posted.push(calls);
    return {
      ...link,
      post: (message) => {
        if (message.kind === "call") calls.push(message.call.name);
        link.post(message);
      },
    };
  };
  const plane = new DataPlane(recorded, 3, descriptors());
  for (const id of ["one", "two"]) {
    const overlay = { kind: "vxlan", vni: 1 } as const;
    const network = { kind: "network", id, name: id, subnets: [], internal: false } as const;
    plane.learn(id, { ...network, mtu: 1450, overlay });
  }
  await plane.openTunnels({ vxlan: [7], wireguard: [], privateKey: new Uint8Array(32) });
  expect(await plane.tunnelStatistics()).toBeNull();
  await plane.attach(attachment("one"), nobody).isUp;
  await plane.attach(attachment("local"), nobody).isUp;
  await plane.attach(attachment("two"), nobody).isUp;
  expect(posted).toEqual([["open tunnels", "attach", "attach"], ["attach"]]);
  const dying = plane.attach(attachment("two", "die"), nobody);
  await expect(dying.isUp).rejects.toThrow("has ended: a fault of a test");
  await plane.attach(attachment("two"), nobody).isUp;
  expect(posted[2]).toEqual(["open tunnels", "attach"]);
  await plane.close();
});

test("a thread knows what was learnt before its start, except what was forgotten", async () => {
  const plane = new DataPlane(start, 1, descriptors());
  plane.learn("a", { kind: "member", id: "a", networks: [] });
  plane.learn("b", { kind: "member", id: "b", networks: [] });
  plane.forget("a");
  const served = plane.attach(attachment("one"), nobody);
  plane.learn("c", { kind: "member", id: "c", networks: [] });
  expect(await served.publish({ ports: [], auto: null, listening: null })).toEqual(["b", "c"]);
  plane.forget("b");
  await plane.settled();
  expect(await served.publish({ ports: [], auto: null, listening: null })).toEqual(["c"]);
  await plane.close();
});

test("a refusal goes to the caller, and nothing is attached", async () => {
  const plane = new DataPlane(start, 1, descriptors());
  await expect(plane.attach(attachment("one", "refused"), nobody).isUp).rejects.toThrow(
    "not today",
  );
  await plane.close();
});

test("a thread that dies ends its own attachments and calls, and no others", async () => {
  const plane = new DataPlane(start, 2, descriptors());
  const gone: string[] = [];
  const other = plane.attach(attachment("other"), {
    ...nobody,
    onGone: () => gone.push("other"),
  });
  await other.isUp;
  const first = plane.attach(attachment("one"), {
    ...nobody,
    onGone: (why, isLost) => gone.push(`${why} ${isLost}`),
  });
  await first.isUp;
  const unanswered = plane.attach(attachment("one", "never"), nobody);
  const dying = plane.attach(attachment("one", "die"), nobody);
  await expect(unanswered.isUp).rejects.toThrow("has ended: a fault of a test");
  await expect(dying.isUp).rejects.toThrow("has ended: a fault of a test");
  expect(gone).toEqual(["its thread has ended (a fault of a test) true"]);
  // Nobody waits for the thread that died, and the network can be served again.
  await plane.settled();
  await first.detach(true);
  await plane.attach(attachment("one"), nobody).isUp;
  expect(workers).toHaveLength(3);
  expect(await other.publish({ ports: [], auto: null, listening: null })).toEqual([]);
  await plane.close();
});
