import { afterAll, beforeAll, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
beforeAll(() => {
  subject = Subject.start();
});
afterAll(() => subject.stop());

const EBADF = -9;

test("descriptors that the addon did not issue are out of reach", async () => {
  const results = await subject.run(({ native, memory, require }) => {
    const { mem } = memory(64);
    const fs = require("node:fs") as typeof import("node:fs");
    const foreign = fs.openSync("/dev/null", "r+");
    const numbers = [0, 1, 2, 3, foreign, -1, 1_000_000, 2 ** 31, 2 ** 32, 0.5, Number.NaN];
    const results = numbers.flatMap((fd) => [
      native.read(fd, mem, 0, 1),
      native.recv(fd, mem, 0, 1, 0),
      native.writev(fd, mem, 0, 0),
      native.sendmsg(fd, mem, 0, 0, 0),
      native.sendmmsg(fd, mem, 0, 0, 0),
      native.recvmmsg(fd, mem, 0, 0, 0),
      native.connect(fd, mem, 0, 16),
      native.bind(fd, mem, 0, 16),
      native.listen(fd, 1),
      native.accept(fd, mem, 0, 16),
      native.getsockname(fd, mem, 0, 16),
      native.getpeername(fd, mem, 0, 16),
      native.setsockopt(fd, 1, 2, 1),
      native.getsockopt(fd, 1, 4),
      native.shutdown(fd, 2),
      native.writeBytes(fd, new Uint8Array(1)),
      native.readBytes(fd, new Uint8Array(1)),
      native.watch(fd, 1, 0),
      native.rewatch(fd, 1, 0),
      native.unwatch(fd),
      native.releaseSpawned(fd),
      native.waitChild(fd),
      native.pidfdSignal(fd, 0),
      native.close(fd),
    ]);
    const alive = fs.fstatSync(foreign).isCharacterDevice();
    fs.closeSync(foreign);
    native.unregisterMemory(mem);
    return { results: [...new Set(results)], alive };
  });
  expect(results).toEqual({ results: [EBADF], alive: true });
});

test("a closed handle is gone, also when Node reuses its number", async () => {
  const results = await subject.run(({ native, require }) => {
    const fs = require("node:fs") as typeof import("node:fs");
    const fd = native.socket(2, 1, 0);
    const closed = native.close(fd);
    const reused = fs.openSync("/dev/null", "r+");
    const results = { closed, same: reused === fd, again: native.close(fd) };
    fs.closeSync(reused);
    return results;
  });
  expect(results).toEqual({ closed: 0, same: true, again: EBADF });
});

test("a handle of one kind is not accepted for another", async () => {
  const results = await subject.run(({ native }) => {
    const socket = native.socket(2, 1, 0);
    const pidfd = native.pidfdOpen(process.pid);
    const results = [
      native.waitChild(socket),
      native.releaseSpawned(socket),
      native.releaseSpawned(pidfd),
      native.readBytes(pidfd, new Uint8Array(1)),
    ];
    native.close(socket);
    native.close(pidfd);
    return results;
  });
  expect(results).toEqual([EBADF, EBADF, EBADF, EBADF]);
});

test("an inherited descriptor becomes a handle, close-on-exec, once", async () => {
  const results = await subject.run(({ native, closeOnExec, require }) => {
    const fs = require("node:fs") as typeof import("node:fs");
    const fd = fs.openSync("/dev/zero", "r");
    const bytes = new Uint8Array([1, 1]);
    return {
      open: native.isOpenFd(fd),
      adopted: native.adoptFd(fd) === fd,
      twice: native.adoptFd(fd),
      closeOnExec: closeOnExec(fd),
      read: native.readBytes(fd, bytes),
      bytes: [...bytes],
      closed: native.close(fd),
      openAfter: native.isOpenFd(fd),
      adoptedAfter: native.adoptFd(fd),
      never: native.isOpenFd(-1) || native.isOpenFd(0.5),
    };
  });
  expect(results).toEqual({
    open: true,
    adopted: true,
    twice: -17, // EEXIST
    closeOnExec: true,
    read: 2,
    bytes: [0, 0],
    closed: 0,
    openAfter: false,
    adoptedAfter: EBADF,
    never: false,
  });
});

test("a thread copies another's descriptor by its number, and each closes its own", async () => {
  const results = await subject.run(async ({ native, addon, memory, require }) => {
    const { Worker } = require("node:worker_threads") as typeof import("node:worker_threads");
    const fs = require("node:fs") as typeof import("node:fs");
    const count = () => fs.readdirSync("/proc/self/fd").length;
    const { mem, view } = memory(16);
    view.setUint16(0, 1, true); // AF_UNIX: the kernel chooses a name
    const worker = new Worker(
      `const native = require(${JSON.stringify(addon)});
       const { parentPort } = require("node:worker_threads");
       parentPort.on("message", (fd) => {
         const foreign = native.close(fd);
         const copy = native.copyFd(fd);
         const type = native.getsockopt(copy, 1, 3);
         parentPort.postMessage({ foreign, isOther: copy !== fd, type, missing: native.copyFd(1_000_000) });
       });`,
      { eval: true },
    );
    const ask = (fd: number) =>
      new Promise((resolve) => {
        worker.once("message", resolve);
        worker.postMessage(fd);
      });
    const own = native.socket(1, 2, 0);
    native.bind(own, mem, 0, 2);
    const answer = await ask(own);
    const left = count();
    const isOpen = native.getsockopt(own, 1, 3);
    native.close(own);
    // The copy is the thread's, and goes with it.
    await worker.terminate();
    native.unregisterMemory(mem);
    return { answer, isOpen, ended: count() < left - 1 };
  });
  expect(results).toEqual({
    answer: { foreign: EBADF, isOther: true, type: 2, missing: EBADF },
    isOpen: 2,
    ended: true,
  });
});

test("every descriptor is close-on-exec, and nothing is left open", async () => {
  const { kept, before, after } = await subject.run(
    async ({ native, memory, hold, enter, reap, closeOnExec, require }) => {
      const fs = require("node:fs") as typeof import("node:fs");
      const count = () => fs.readdirSync("/proc/self/fd").length;
      const { mem, view } = memory(128);
      const before = count();

      const child = hold("exit 0");
      const agent = enter(child.pid);
      const listener = native.socket(2, 1, 0);
      view.setUint16(0, 2, true);
      native.bind(listener, mem, 0, 16);
      native.listen(listener, 1);
      native.getsockname(listener, mem, 0, 16);
      const client = native.socket(2, 1, 0);
      native.connect(client, mem, 0, 16);
      const fds = [
        native.agentOpenTap(agent, "tap0", true),
        native.agentSocket(agent, 2, 2, 0),
        native.pidfdOpen(process.pid),
        native.adoptFd(fs.openSync("/dev/null", "r+")),
        native.accept(listener, mem, 32, 16),
        listener,
        client,
      ];
      const { control, pidfd, reaper = -1, reaperSignal } = child;
      const kept = [...fds, control, pidfd, reaper].filter((fd) => !closeOnExec(fd));

      const results = fds.map((fd) => native.close(fd));
      native.closeAgent(agent);
      native.releaseSpawned(control);
      await reap(pidfd);
      native.pidfdSignal(reaper, reaperSignal);
      await reap(reaper);
      for (const fd of [pidfd, reaper]) native.close(fd);
      // Failures must not leave anything either.
      native.openAgent(null, "/proc/self/ns/mnt");
      native.openAgent("/proc/self/ns/net", "/proc/self/ns/net");
      native.openAgent(null, "/dev/null");
      native.openAgent(null, "/proc/self/ns/net");
      native.socket(2, 77, 0);
      native.unregisterMemory(mem);
      if (results.some((result) => result !== 0)) throw new Error(`close: ${results}`);
      return { kept, before, after: count() };
    },
  );
  expect(kept).toEqual([]);
  expect(after).toBe(before);
});
