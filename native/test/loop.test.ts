import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
beforeEach(() => {
  subject = Subject.start();
});
afterEach(() => subject.stop());

test("events arrive as pairs of token and bits, only for watched descriptors", async () => {
  const seen = await subject.run(async ({ native, memory, sleep, until }) => {
    const { mem, view } = memory(64);
    const [receiver, sender] = [native.socket(2, 2, 0), native.socket(2, 2, 0)];
    view.setUint16(0, 2, true);
    view.setUint32(4, 0x0100007f, true);
    native.bind(receiver, mem, 0, 16);
    native.getsockname(receiver, mem, 0, 16);
    native.connect(sender, mem, 0, 16);

    const log: string[] = [];
    const events = new Int32Array(16);
    const watched = native.watch(receiver, 1, 0xffff_fff0);
    native.loopStart((count) => {
      for (let i = 0; i < count; i++) {
        log.push(`${(events[2 * i] ?? 0) >>> 0}:${events[2 * i + 1]}`);
        if (events[2 * i] === 7) native.rewatch(sender, 0, 7);
        else native.recv(receiver, mem, 32, 16, 0);
      }
      return -1;
    }, events);
    await sleep(10);
    const quiet = log.length;
    native.writeBytes(sender, new Uint8Array(1));
    await until(() => log.length > 0);
    native.watch(sender, 4, 7);
    await until(() => log.length > 1);
    native.writeBytes(sender, new Uint8Array(1));
    native.unwatch(receiver);
    await sleep(10);
    const again = native.watch(receiver, 1, 8);
    const twice = native.watch(receiver, 1, 8);
    const missing = [native.rewatch(receiver, 1, 9), native.unwatch(receiver)];
    native.close(receiver);
    native.close(sender);
    native.loopStop();
    native.unregisterMemory(mem);
    return { watched, quiet, log, again, twice, missing };
  });
  expect(seen).toEqual({
    watched: 0,
    quiet: 0,
    log: ["4294967280:1", "7:4"],
    again: 0,
    twice: -17, // EEXIST
    missing: [0, 0],
  });
});

test("more descriptors than fit are reported in turn; none is lost, also edge-triggered", async () => {
  const seen = await subject.run(async ({ native, sleep, until }) => {
    const events = new Int32Array(2 * 4);
    const fds = Array.from({ length: 50 }, () => native.socket(2, 2, 0));
    fds.forEach((fd, i) => {
      native.watch(fd, 4 | (1 << 31), i);
    });
    const tokens: number[] = [];
    let most = 0;
    native.loopStart((count) => {
      most = Math.max(most, count);
      for (let i = 0; i < count; i++) tokens.push(events[2 * i] ?? -1);
      return -1;
    }, events);
    await until(() => tokens.length >= fds.length);
    await sleep(5);
    native.loopStop();
    for (const fd of fds) native.close(fd);
    return { most, tokens: tokens.sort((a, b) => a - b) };
  });
  expect(seen).toEqual({ most: 4, tokens: Array.from({ length: 50 }, (_, i) => i) });
});

describe("onWake says when it wants to be called", () => {
  test("after a time, never early", async () => {
    const early = await subject.run(async ({ native, sleep }) => {
      const times: number[] = [];
      const waits = [1, 3, 0.5, 7, 2, -1, 1];
      let due = performance.now();
      await new Promise<void>((resolve) => {
        native.loopStart((count) => {
          const now = performance.now();
          times.push(count === 0 && now >= due ? 0 : now - due);
          const wait = waits[times.length - 1] ?? -1;
          if (wait < 0) setImmediate(resolve);
          due = performance.now() + wait;
          return wait;
        }, new Int32Array(2));
      });
      await sleep(20);
      native.loopStop();
      return times;
    });
    expect(early).toEqual([0, 0, 0, 0, 0, 0]); // the first call, and one for each time until -1
  });

  test("after a fraction of a millisecond, before a whole one is over", async () => {
    const [shortest, isEarly] = await subject.run(async ({ native }) => {
      let [shortest, isEarly] = [Number.POSITIVE_INFINITY, false];
      let began = Number.NEGATIVE_INFINITY;
      await new Promise<void>((resolve) => {
        // On a busy machine most of them take longer; rounded up to a millisecond none would take less.
        native.loopStart(() => {
          const took = performance.now() - began;
          isEarly ||= took < 0.1;
          shortest = Math.min(shortest, took);
          if (shortest < 1) setImmediate(resolve);
          began = performance.now();
          return 0.1;
        }, new Int32Array(2));
      });
      native.loopStop();
      return [shortest, isEarly];
    });
    expect(shortest).toBeLessThan(1);
    expect(isEarly).toBe(false);
  });

  test("at once, and others have their turn", async () => {
    const turns = await subject.run(async ({ native }) => {
      let calls = 0;
      native.loopStart(() => {
        calls++;
        return 0;
      }, new Int32Array(2));
      const during: number[] = [];
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        during.push(calls);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
      native.loopStop();
      return during;
    });
    expect(turns).toHaveLength(5);
    for (const [i, calls] of turns.entries()) {
      expect(calls).toBeGreaterThanOrEqual(i);
      expect(calls).toBeLessThanOrEqual(i + 2);
    }
  });
});

describe("Node works as always", () => {
  test("promises, nextTick, immediates and timers that onWake sets off", async () => {
    const order = await subject.run(async ({ native }) => {
      const order: string[] = [];
      await new Promise<void>((resolve) => {
        let called = false;
        native.loopStart(() => {
          if (called) return -1;
          called = true;
          process.nextTick(() => order.push("tick"));
          void Promise.resolve().then(() => order.push("promise"));
          setImmediate(() => order.push("immediate"));
          setTimeout(() => {
            order.push("timer");
            resolve();
          }, 5);
          order.push("onWake");
          return -1;
        }, new Int32Array(2));
      });
      native.loopStop();
      return order;
    });
    // Whether a tick waits for the immediate depends on what Node itself has to do: it may.
    const others = order.filter((name) => name !== "immediate");
    expect(others).toEqual(["onWake", "tick", "promise", "timer"]);
    expect(order.slice(1, -1)).toContain("immediate");
  });

  test("a promise resolved from onWake when nothing else happens", async () => {
    const answered = await subject.run(async ({ native }) => {
      const fd = native.socket(2, 2, 0);
      const value = await new Promise((resolve) => {
        native.watch(fd, 4, 42);
        const events = new Int32Array(2);
        native.loopStart((count) => {
          if (count === 0) return -1;
          native.unwatch(fd);
          setImmediate(resolve, events[0]);
          return -1;
        }, events);
      });
      native.loopStop();
      native.close(fd);
      return value;
    });
    expect(answered).toBe(42);
  });

  test("timers, files, sockets, worker threads and child processes, while we idle", async () => {
    const seen = await subject.run(async ({ native, require }) => {
      const { readFile } = require("node:fs/promises") as typeof import("node:fs/promises");
      const { connect, createServer } = require("node:net") as typeof import("node:net");
      const { execFile } = require("node:child_process") as typeof import("node:child_process");
      const { promisify } = require("node:util") as typeof import("node:util");
      const { Worker } = require("node:worker_threads") as typeof import("node:worker_threads");
      let wakes = 0;
      native.loopStart(() => {
        wakes++;
        return -1;
      }, new Int32Array(2));
      const status = await readFile("/proc/self/status", "utf8");
      const { stdout } = await promisify(execFile)("echo", ["child"]);
      const echoed = await new Promise<string>((resolve) => {
        const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1", () => {
          const { port } = server.address() as import("node:net").AddressInfo;
          const client = connect(port, "127.0.0.1", () => client.end("echo"));
          client.on("data", (data) => resolve(String(data)));
          client.on("close", () => server.close());
        });
      });
      const posted = await new Promise((resolve) => {
        new Worker("require('worker_threads').parentPort.postMessage('posted')", {
          eval: true,
        }).once("message", resolve);
      });
      let ticks = 0;
      await new Promise<void>((resolve) => {
        const timer = setInterval(() => {
          ticks++;
          if (ticks < 5) return;
          clearInterval(timer);
          resolve();
        }, 2);
      });
      native.loopStop();
      return { read: status.includes("Name:"), stdout, echoed, posted, ticks, wakes };
    });
    expect(seen).toEqual({
      read: true,
      stdout: "child\n",
      echoed: "echo",
      posted: "posted",
      ticks: 5,
      wakes: 1,
    });
  });

  test("a server that begins to listen within an event of Node's, without any timer", async () => {
    const path = `\0tuntap2-${process.pid}-listen`;
    const served = subject.run(
      ({ native, require }, path: string) =>
        new Promise<string>((resolve) => {
          const { createServer } = require("node:net") as typeof import("node:net");
          const { writeSync } = require("node:fs") as typeof import("node:fs");
          native.loopStart(() => -1, new Int32Array(2));
          const second = createServer(() => resolve("served"));
          // Neither callback closes a handle or sets an immediate, which would turn the loop.
          const first = createServer((client) => {
            client.on("data", () => {
              second.listen(`${path}-second`);
              writeSync(1, "second\n");
            });
          });
          first.listen(path);
          writeSync(1, "first\n");
        }),
      path,
    );
    await expect.poll(() => subject.output).toContain("first");
    const first = connect(path, () => first.write("x")).on("error", () => undefined);
    await expect.poll(() => subject.output).toContain("second");
    const second = connect(`${path}-second`).on("error", () => undefined);
    expect(await served).toBe("served");
    first.destroy();
    second.destroy();
  });

  test("our descriptors, after onWake gave Node something to watch", async () => {
    const path = `\0tuntap2-${process.pid}-datagrams`;
    const served = subject.run(
      ({ native, memory, require }, path: string) =>
        new Promise<string>((resolve) => {
          const { createServer } = require("node:net") as typeof import("node:net");
          const { mem, bytes } = memory(128);
          bytes.set(new TextEncoder().encode(path), 2);
          bytes[0] = 1; // AF_UNIX, in a sockaddr that ends with the name
          const listener = native.socket(1, 1, 0);
          native.bind(listener, mem, 0, 2 + path.length);
          native.listen(listener, 8);
          native.watch(listener, 1, 0);
          let connections = 0;
          native.loopStart((count) => {
            if (count === 0) return -1;
            native.close(native.accept(listener, mem, 0, 0));
            connections++;
            if (connections === 1) createServer().listen(`${path}-other`);
            else setImmediate(resolve, "served twice");
            process.stdout.write(`connection ${connections}\n`);
            return -1;
          }, new Int32Array(2));
          process.stdout.write("listening\n");
        }),
      path,
    );
    for (const line of ["listening", "connection 1"]) {
      await expect.poll(() => subject.output).toContain(line);
      connect(path).on("error", () => undefined);
    }
    expect(await served).toBe("served twice");
  });

  test("signals", async () => {
    const ready = subject.run(
      ({ native }) =>
        new Promise<string>((resolve) => {
          process.on("SIGTERM", resolve);
          process.on("SIGCHLD", () => undefined);
          native.loopStart(() => -1, new Int32Array(2));
          process.stdout.write("waiting\n");
        }),
    );
    await expect.poll(() => subject.output).toContain("waiting");
    subject.signal("SIGTERM");
    expect(await ready).toBe("SIGTERM");
  });
});

test("an idle loop uses no CPU", async () => {
  const { switches, wakes } = await subject.run(async ({ native, require, sleep }) => {
    const fs = require("node:fs") as typeof import("node:fs");
    const switchesOf = () =>
      [.../ctxt_switches:\s*(\d+)/g[Symbol.matchAll](fs.readFileSync("/proc/self/status", "utf8"))]
        .map((match) => Number(match[1]))
        .reduce((sum, count) => sum + count);
    let wakes = 0;
    const fd = native.socket(2, 2, 0);
    native.watch(fd, 1, 1);
    native.loopStart(() => {
      wakes++;
      return 60_000;
    }, new Int32Array(2));
    await sleep(50);
    const before = switchesOf();
    await sleep(2000);
    const switches = switchesOf() - before;
    native.loopStop();
    native.close(fd);
    return { switches, wakes };
  });
  expect(wakes).toBe(1);
  // One to block, and the odd one forced on us. A loop that polls has thousands.
  expect(switches).toBeLessThan(30);
});

describe("exceptions are loud", () => {
  test("one thrown by onWake ends the process with its stack", async () => {
    const ending = await subject.runToEnd(({ native }) => {
      native.loopStart(function thrower() {
        throw new Error("out of onWake");
      }, new Int32Array(2));
    });
    expect(ending.code).toBe(1);
    expect(subject.output).toMatch(/Error: out of onWake\n\s+at thrower/);
  });

  test("a result that is not a number ends it, too", async () => {
    const ending = await subject.runToEnd(({ native }) => {
      native.loopStart((() => "soon") as unknown as () => number, new Int32Array(2));
    });
    expect(ending.code).toBe(1);
    expect(subject.output).toContain("TypeError: onWake must return a number");
  });

  test("a rejection that nobody handles ends it, too, in what onWake set off", async () => {
    const ending = await subject.runToEnd(({ native }) => {
      native.loopStart(() => {
        setImmediate(() => Promise.reject(new Error("left alone")));
        return -1;
      }, new Int32Array(2));
    });
    expect(ending.code).toBe(1);
    expect(subject.output).toContain("left alone");
  });

  test("with a handler of uncaughtException the loop continues", async () => {
    const seen = await subject.run(async ({ native, sleep, until }) => {
      const caught: string[] = [];
      process.on("uncaughtException", (error) => caught.push(error.message));
      let calls = 0;
      native.loopStart(() => {
        calls++;
        if (calls < 3) throw new Error(`call ${calls}`);
        return -1;
      }, new Int32Array(2));
      await until(() => calls >= 3);
      await sleep(5);
      native.loopStop();
      return { caught, calls };
    });
    expect(seen).toEqual({ caught: ["call 1", "call 2"], calls: 3 });
  });
});

describe("start and stop", () => {
  test("a running loop keeps the process alive, a stopped one does not", async () => {
    const ending = await subject.runToEnd(({ native }) => {
      const started = performance.now();
      process.removeAllListeners("disconnect");
      process.disconnect?.();
      native.loopStart(() => {
        if (performance.now() - started < 50) return 10;
        process.stdout.write("stopped\n");
        native.loopStop();
        return -1;
      }, new Int32Array(2));
    });
    expect(ending).toEqual({ code: 0, signal: null });
    expect(subject.output).toBe("stopped\n");
  });

  test("only one loop runs at a time, any number of times", async () => {
    const seen = await subject.run(async ({ native, sleep, until }) => {
      let calls = 0;
      const onWake = () => {
        calls++;
        return -1;
      };
      native.loopStart(onWake, new Int32Array(2));
      let second = "";
      try {
        native.loopStart(onWake, new Int32Array(2));
      } catch (error) {
        second = String(error);
      }
      await until(() => calls > 0);
      for (let i = 0; i < 10; i++) {
        native.loopStop();
        native.loopStop();
        native.loopStart(onWake, new Int32Array(2));
        await until(() => calls > i + 1);
      }
      native.loopStop();
      await sleep(5);
      return { second, calls };
    });
    expect(seen).toEqual({ second: "Error: node-tuntap2: the loop runs already", calls: 11 });
  });

  test("process.exit within onWake", async () => {
    const ending = await subject.runToEnd(({ native }) => {
      native.loopStart(() => process.exit(7), new Int32Array(2));
    });
    expect(ending).toEqual({ code: 7, signal: null });
  });

  test.each([
    ["terminated", "return -1"],
    ["that exits within onWake", "process.exit(0)"],
    ["terminated while it calls at once", "return 0"],
  ])("a worker thread %s, with its loop running and handles open", async (_, statement) => {
    const seen = await subject.run(async ({ native, addon, require, sleep }, statement: string) => {
      const { Worker } = require("node:worker_threads") as typeof import("node:worker_threads");
      const fs = require("node:fs") as typeof import("node:fs");
      const count = () => fs.readdirSync("/proc/self/fd").length;
      const run = async () => {
        const worker = new Worker(
          `const native = require(${JSON.stringify(addon)});
             const fd = native.socket(2, 2, 0);
             native.loopStart(() => { ${statement} }, new Int32Array(2));
             require("worker_threads").parentPort.postMessage(fd);`,
          { eval: true },
        );
        const exited = new Promise((resolve) => worker.once("exit", resolve));
        const fd = await new Promise<number>((resolve) => worker.once("message", resolve));
        const foreign = native.close(fd);
        await sleep(10);
        await worker.terminate();
        await exited;
        return foreign;
      };
      await run();
      const before = count();
      const foreign = await run();
      return { foreign, left: count() - before };
    }, statement);
    expect(seen).toEqual({ foreign: -9 /* EBADF */, left: 0 });
  });
});

/** What Node's types leave out of it. */
interface Compiler {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: { spin(): void } };
}

describe("a limit for one turn", () => {
  const words = "that was too long\n";

  test("ends a process whose WebAssembly never returns, in a seccomp filter, too", async () => {
    const { code, signal } = await subject.runToEnd(async ({ native }, words: string) => {
      // (module (func (export "spin") (loop br 0)))
      const code = Uint8Array.from([
        ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0],
        ...[7, 8, 1, 4, 115, 112, 105, 110, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11],
      ]);
      const { Module, Instance } = Reflect.get(globalThis, "WebAssembly") as Compiler;
      const { spin } = new Instance(new Module(code)).exports;
      const onWake = () => {
        spin();
        return -1;
      };
      native.loopStart(onWake, new Int32Array(2));
      native.loopLimit(1, new TextEncoder().encode(words));
      native.lockDown(false, false, false);
    }, words);
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(subject.output).toBe(words);
  });

  test("spares a thread that is busy but returns", async () => {
    // Processor time, as the limit is of it: 1.5 s in all, by a tenth each.
    const turns = await subject.run(async ({ native, until }, words: string) => {
      let turns = 0;
      const onWake = () => {
        turns += 1;
        const began = process.cpuUsage();
        for (let spent = { user: 0, system: 0 }; spent.user + spent.system < 100_000; ) {
          for (const end = performance.now() + 1; performance.now() < end; );
          spent = process.cpuUsage(began);
        }
        return 0;
      };
      native.loopStart(onWake, new Int32Array(2));
      const limited = native.loopLimit(1, new TextEncoder().encode(words));
      await until(() => turns >= 15);
      native.loopStop();
      return limited === 0 ? turns : limited;
    }, words);
    expect(turns).toBeGreaterThanOrEqual(15);
  });

  test("takes whole seconds, and needs a running loop", async () => {
    const results = await subject.run(({ native }) => {
      const none = native.loopLimit(1, new Uint8Array(1));
      native.loopStart(() => -1, new Int32Array(2));
      const limits: [number, number][] = [
        [0, 1],
        [0.5, 1],
        [3_601, 1],
        [1, 256],
        [3_600, 255],
      ];
      const results = limits.map(([s, length]) => native.loopLimit(s, new Uint8Array(length)));
      native.loopStop();
      return [none, ...results];
    });
    expect(results).toEqual([-22, -22, -22, -22, -22, 0]);
  });
});
