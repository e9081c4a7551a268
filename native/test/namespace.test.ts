import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isRoot, Subject } from "./subject.js";

let subject: Subject;
beforeAll(() => {
  subject = Subject.start();
});
afterAll(() => subject.stop());

/** The step and result of an `openAgent` or `agentOpenTap` that fails. */
interface Failure {
  readonly result: number;
  readonly step: string;
  readonly path: string;
}

const [EPERM, ENOENT, EACCES, EBUSY, EINVAL] = [-1, -2, -13, -16, -22];
const [ENOTTY, ENAMETOOLONG] = [-25, -36];

test("frames pass through a TAP in another namespace, configured by netlink", async () => {
  const seen = await subject.run(async ({ native, hold, enter, memory, sleep, errno }) => {
    const child = hold("exec sleep 60");
    const agent = enter(child.pid);
    const tap = native.agentOpenTap(agent, "tap0", true);
    const index = native.agentIfindex(agent, "tap0");

    /** An rtnetlink message: header, body, with NLM_F_REQUEST | NLM_F_ACK | `flags`. */
    const request = (type: number, flags: number, body: Uint8Array) => {
      const bytes = new Uint8Array(16 + body.length);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, bytes.length, true);
      view.setUint16(4, type, true);
      view.setUint16(6, 0x5 | flags, true);
      bytes.set(body, 16);
      return bytes;
    };
    const link = new Uint8Array(16);
    new DataView(link.buffer).setInt32(4, index, true);
    link[8] = 1; // ifi_flags IFF_UP
    link[12] = 1; // ifi_change
    const up = native.agentNetlink(agent, request(16, 0, link)); // RTM_NEWLINK
    const address = new Uint8Array([2, 24, 0, 0, index, 0, 0, 0, 8, 0, 2, 0, 203, 0, 113, 100]);
    const added = native.agentNetlink(agent, request(20, 0x400, address)); // RTM_NEWADDR
    const repeated = native.agentNetlink(agent, request(20, 0x400, address));
    const malformed = [
      native.agentNetlink(agent, new Uint8Array(0)),
      native.agentNetlink(agent, new Uint8Array(15)),
      native.agentNetlink(agent, new Uint8Array(4097)),
      native.agentNetlink(agent, request(16, 0, link).subarray(0, 31)),
    ];

    // A datagram to a neighbour makes the kernel ask for its MAC address.
    const { mem, bytes } = memory(4096);
    const socket = native.agentSocket(agent, 2, 2, 0);
    bytes.set([2, 0, 0, 9, 203, 0, 113, 2], 0);
    native.connect(socket, mem, 0, 16);
    native.writeBytes(socket, new Uint8Array([1, 2, 3]));
    let arp: number[] = [];
    for (let tries = 0; arp.length === 0 && tries < 500; tries++) {
      const length = native.read(tap, mem, 1024, 2048);
      if (length === -errno.EAGAIN) await sleep(2);
      // A header of 10 bytes, then Ethernet.
      if (length > 0 && bytes[1024 + 10 + 13] === 6) {
        arp = [...bytes.slice(1024, 1024 + length)];
      }
    }
    const ended = native.closeAgent(agent);
    const written = native.writeBytes(tap, new Uint8Array(10 + 60).fill(255, 10, 16));
    native.close(tap);
    native.close(socket);
    native.close(child.control);
    native.close(child.pidfd);
    native.unregisterMemory(mem);
    return { index, up, added, repeated, malformed, arp, ended, written };
  });
  expect(seen).toMatchObject({
    index: 2,
    up: 0,
    added: 0,
    repeated: -17, // EEXIST
    malformed: [EINVAL, EINVAL, EINVAL, EINVAL],
    ended: 0,
    written: 70,
  });
  expect(seen.arp.slice(0, 16)).toEqual([
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255,
  ]);
  expect(seen.arp.slice(10 + 38, 10 + 42)).toEqual([203, 0, 113, 2]);
});

test("checksums are offloaded to us exactly where there is a vnet header", async () => {
  const starts = await subject.run(async ({ native, hold, enter, reap, memory }) => {
    const send = (tap: string, peer: string) => `
      ip link set ${tap} up
      ip address add ${peer}.1/24 dev ${tap}
      ip neighbour add ${peer}.2 lladdr 02:00:00:00:00:02 dev ${tap}
      echo text > /dev/udp/${peer}.2/9`;
    const script = `${send("tap0", "203.0.113")}\n${send("tap1", "198.51.100")}`;
    const child = hold(`exec bash -ec '${script}'`);
    const taps = [true, false].map((header, index) => {
      const agent = enter(child.pid);
      const tap = native.agentOpenTap(agent, `tap${index}`, header);
      native.closeAgent(agent);
      return tap;
    });
    native.releaseSpawned(child.control);
    const status = await reap(child.pidfd);
    if (status !== 0) throw new Error(`the script ended with ${status}`);
    const { mem, bytes } = memory(4096);
    const starts = taps.map((tap) => {
      for (;;) {
        const length = native.read(tap, mem, 0, 4096);
        if (length < 0) return `nothing: ${length}`;
        const text = Buffer.from(bytes.subarray(0, length));
        // Past the multicast of an interface that comes up.
        if (text.includes("text")) return text.subarray(0, 16).toString("hex");
      }
    });
    for (const fd of [...taps, child.pidfd]) native.close(fd);
    native.unregisterMemory(mem);
    return starts;
  });
  expect(starts).toEqual([
    // NEEDS_CSUM, no GSO, checksum from byte 34 on (Ethernet and IPv4 before it), at its byte 6.
    `${"01000000000022000600"}020000000002`,
    expect.stringMatching(/^020000000002.{12}08004500$/),
  ]);
});

describe("what cannot be entered, and why", () => {
  const attempt = (userns: string | null, netns: string, on = subject): Promise<Failure> =>
    on.run(
      ({ native }, userns: string | null, netns: string) => {
        const result = native.openAgent(userns, netns);
        return { result, ...native.lastError() };
      },
      userns,
      netns,
    );

  test.each<[string, string | null, string, Failure]>([
    [
      "no such PID",
      null,
      "/proc/4194305/ns/net",
      { result: ENOENT, step: "open-netns", path: "/proc/4194305/ns/net" },
    ],
    [
      "no such path",
      null,
      "/nonexistent",
      { result: ENOENT, step: "open-netns", path: "/nonexistent" },
    ],
    [
      "a path that is too long",
      null,
      "/x".repeat(4096),
      { result: ENAMETOOLONG, step: "open-netns", path: "/x".repeat(4096).slice(0, 255) },
    ],
    [
      "a path with a NUL",
      null,
      "/proc/self/ns/net\0",
      { result: EINVAL, step: "open-netns", path: "/proc/self/ns/net" },
    ],
    ["a file", null, "/etc/passwd", { result: ENOTTY, step: "check-netns", path: "/etc/passwd" }],
    ["a folder", null, "/etc", { result: ENOTTY, step: "check-netns", path: "/etc" }],
    [
      "a namespace of another type",
      null,
      "/proc/self/ns/mnt",
      { result: EINVAL, step: "check-netns", path: "/proc/self/ns/mnt" },
    ],
    [
      "no such user namespace",
      "/nonexistent",
      "/proc/self/ns/net",
      { result: ENOENT, step: "open-userns", path: "/nonexistent" },
    ],
    [
      "a user namespace of another type",
      "/proc/self/ns/net",
      "/proc/self/ns/net",
      { result: EINVAL, step: "check-userns", path: "/proc/self/ns/net" },
    ],
    [
      "our own network without privilege",
      null,
      "/proc/self/ns/net",
      { result: EPERM, step: "setns-net", path: "/proc/self/ns/net" },
    ],
  ])("%s", async (_, userns, netns, failure) => {
    expect(await attempt(userns, netns)).toEqual(failure);
  });

  // Another user is to be had as root only, who then runs this process.
  test.runIf(isRoot)("a process of another user", async () => {
    const netns = `/proc/${process.pid}/ns/net`;
    expect(await attempt(null, netns)).toEqual({
      result: EACCES,
      step: "open-netns",
      path: netns,
    });
  });
});

describe("what TAP cannot be opened, and why", () => {
  const attempt = (name: string, on = subject): Promise<Failure> =>
    on.run(({ native, hold, enter }, name: string) => {
      const child = hold("exec sleep 60");
      const agents = [enter(child.pid), enter(child.pid)] as const;
      const first = native.agentOpenTap(agents[0], "taken", true);
      const result = native.agentOpenTap(agents[1], name, true);
      const failure = { result, ...native.lastError() };
      for (const agent of agents) native.closeAgent(agent);
      for (const fd of [first, child.control, child.pidfd]) native.close(fd);
      return failure;
    }, name);

  test.each([
    ["in use", "taken", EBUSY],
    ["the loopback interface", "lo", EINVAL],
    ["too long", "a-name-of-16-chr", ENAMETOOLONG],
    ["with a slash", "a/b", EINVAL],
    ["empty", "", EINVAL],
  ])("a name that is %s", async (_, name, result) => {
    const path = name.slice(0, 15);
    expect(await attempt(name)).toEqual({ result, step: "tunsetiff", path });
  });

  test.each([
    ["missing", "mount -t tmpfs none /dev/net", ENOENT],
    ["not permitted", "mount --bind /etc/shadow /dev/net/tun", EACCES],
  ])("a /dev/net/tun that is %s", async (_, inside, result) => {
    const other = Subject.start({ inside });
    expect(await attempt("tap0", other)).toEqual({
      result,
      step: "open-tun",
      path: "/dev/net/tun",
    });
    await other.stop();
  });
});

test("an unknown interface has no index, an agent that is closed or was never open no answer", async () => {
  const results = await subject.run(({ native, hold, enter }) => {
    const child = hold("exec sleep 60");
    const agent = enter(child.pid);
    const unknown = native.agentIfindex(agent, "nope");
    const { step } = native.lastError();
    native.closeAgent(agent);
    native.close(child.control);
    native.close(child.pidfd);
    return [
      unknown,
      step,
      native.agentIfindex(agent, "lo"),
      native.agentOpenTap(512, "tap0", true),
      native.agentSocket(-1, 2, 2, 0),
      native.agentNetlink(1e9, new Uint8Array(16)),
      native.closeAgent(agent),
    ];
  });
  expect(results).toEqual([-19, "ifindex", -9, -9, -9, -9, -9]); // ENODEV, EBADF
});

test("the 513th agent is refused, the others serve", async () => {
  const results = await subject.run(({ native, hold, enter }) => {
    const child = hold("exec sleep 60");
    const agents = Array.from({ length: 512 }, () => enter(child.pid));
    const excess = native.openAgent(null, `/proc/${child.pid}/ns/net`);
    const served = agents.every((agent) => native.agentIfindex(agent, "lo") === 1);
    const ended = agents.every((agent) => native.closeAgent(agent) === 0);
    native.close(child.control);
    native.close(child.pidfd);
    return { excess, served, ended };
  });
  expect(results).toEqual({ excess: -23 /* ENFILE */, served: true, ended: true });
});

test("an agent holds none of its parent's descriptors, and ends although a held child has its socket", async () => {
  const results = await subject.run(async ({ native, hold, enter, memory, until, errno }) => {
    const { mem, view } = memory(64);
    const listener = native.socket(2, 1, 0);
    view.setUint16(0, 2, true);
    native.bind(listener, mem, 0, 16);
    native.listen(listener, 1);
    native.getsockname(listener, mem, 0, 16);
    const client = native.socket(2, 1, 0);
    native.connect(client, mem, 0, 16);
    const server = native.accept(listener, mem, 32, 16);

    const child = hold("exec sleep 60");
    const agent = enter(child.pid);
    const second = hold("exec sleep 60"); // forked with the agent's socket
    native.close(client);
    let end = -errno.EAGAIN;
    await until(() => {
      end = native.recv(server, mem, 0, 1, 0);
      return end !== -errno.EAGAIN;
    });
    const closed = native.closeAgent(agent);
    for (const fd of [server, listener, child.control, child.pidfd]) native.close(fd);
    for (const fd of [second.control, second.pidfd]) native.close(fd);
    native.unregisterMemory(mem);
    return { end, closed };
  });
  expect(results).toEqual({ end: 0, closed: 0 });
});

test("a killed agent is reported, and an agent ends with its parent", async () => {
  const doomed = Subject.start();
  const [first, second, results] = await doomed.run(async ({ native, hold, enter, require }) => {
    const fs = require("node:fs") as typeof import("node:fs");
    const children = () =>
      fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ");
    const child = hold("exec sleep 60");
    const agents = [enter(child.pid), enter(child.pid)];
    const [first = 0, second = 0] = children().slice(-2).map(Number);
    const pidfd = native.pidfdOpen(first);
    native.pidfdSignal(pidfd, 9);
    const [agent = -1] = agents;
    const results = [native.agentIfindex(agent, "lo"), native.lastError().step];
    return [first, second, [...results, native.closeAgent(agent)]] as const;
  });
  expect(results).toEqual([-32, "agent", -5]); // EPIPE, EIO
  const ended = doomed.ended();
  doomed.signal("SIGKILL");
  await ended;
  await expect.poll(() => isAlive(second)).toBe(false);
  expect(isAlive(first)).toBe(false);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

test("a TAP opened by somebody else is configured as it is", async () => {
  const seen = await subject.run(({ native, hold, enter, errno }) => {
    const child = hold("exit");
    const agents = [enter(child.pid), enter(child.pid)] as const;
    const taps = [true, false].map((header, index) =>
      native.agentOpenTap(agents[index] ?? -1, `t${header}`, header),
    );
    const socket = native.socket(2, 2, 0);
    const results = [...taps, socket].map((fd) => native.setUpTap(fd));
    const unknown = native.setUpTap(2) === -errno.EBADF;
    for (const fd of [...taps, socket, child.control, child.pidfd]) native.close(fd);
    for (const agent of agents) native.closeAgent(agent);
    return { results, unknown, enotty: errno.ENOTTY };
  });
  expect(seen).toMatchObject({ results: [1, 0, -seen.enotty], unknown: true });
});
