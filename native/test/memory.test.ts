import { afterAll, beforeAll, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
beforeAll(() => {
  subject = Subject.start();
});
afterAll(() => subject.stop());

test("numbers are issued, freed and reused, up to 1024", async () => {
  const seen = await subject.run(({ native }) => {
    const numbers = Array.from({ length: 1025 }, () => native.registerMemory(new ArrayBuffer(8)));
    const freed = native.unregisterMemory(5);
    const again = native.registerMemory(new ArrayBuffer(8));
    for (let mem = 0; mem < 1024; mem++) native.unregisterMemory(mem);
    return { first: numbers[0], last: numbers[1023], excess: numbers[1024], freed, again };
  });
  expect(seen).toEqual({ first: 0, last: 1023, excess: -28 /* ENOSPC */, freed: 0, again: 5 });
});

test("a memory that is not registered can't be used or freed", async () => {
  const results = await subject.run(({ native, memory }) => {
    const { mem } = memory(16);
    native.unregisterMemory(mem);
    const fd = native.socket(2, 2, 0);
    const used = [mem, -1, 1024, 2 ** 32, 0.5, Number.NaN].map((bad) =>
      native.recv(fd, bad, 0, 1, 0),
    );
    native.close(fd);
    return [...used, native.unregisterMemory(mem)];
  });
  expect(new Set(results)).toEqual(new Set([-14])); // EFAULT
});

test("every range that leaves the memory is refused by every call, and nothing is done", async () => {
  const outcome = await subject.run(({ native, memory }) => {
    const size = 4096;
    const { mem, bytes, view } = memory(size);
    const fd = native.socket(2, 2, 0);
    const edge = 2 ** 32 - 1;
    const ranges = [
      [size, 1],
      [size + 1, 0],
      [0, size + 1],
      [size - 1, 2],
      [edge, 1],
      [edge, edge],
      [1, edge],
      [-1, 1],
      [0, -1],
      [2 ** 40, 1],
      [0.5, 1],
      [0, Number.NaN],
      [Number.POSITIVE_INFINITY, 1],
    ] as const;
    const refused: number[] = [];
    for (const [ptr, len] of ranges) {
      refused.push(
        native.recv(fd, mem, ptr, len, 0),
        native.read(fd, mem, ptr, len),
        native.connect(fd, mem, ptr, len),
        native.bind(fd, mem, ptr, len),
        native.accept(fd, mem, ptr, len),
        native.getsockname(fd, mem, ptr, len),
        native.getpeername(fd, mem, ptr, len),
      );
      // As the one vector at offset 0, and as name, vector and control of a message at 64.
      view.setUint32(0, ptr, true);
      view.setUint32(4, len, true);
      const wrapped = [view.getUint32(0, true), view.getUint32(4, true)] as const;
      if (wrapped[0] + wrapped[1] <= size) continue; // an honest range, modulo 2^32
      refused.push(native.writev(fd, mem, 0, 1), native.sendmsg(fd, mem, 0, 1, 0));
      for (const field of [0, 2, 4]) {
        bytes.fill(0, 64, 96);
        view.setUint32(64 + 4 * field, wrapped[0], true);
        view.setUint32(68 + 4 * field, field === 2 ? 1 : Math.max(1, wrapped[1]), true);
        if (field === 2 && wrapped[0] + 8 <= size) continue; // the vector itself is inside
        refused.push(native.sendmmsg(fd, mem, 64, 1, 0), native.recvmmsg(fd, mem, 64, 1, 0));
      }
    }
    const whole = native.recv(fd, mem, 0, size, 0);
    const empty = native.recv(fd, mem, size, 0, 0);
    native.close(fd);
    native.unregisterMemory(mem);
    return { refused: [...new Set(refused)], count: refused.length, whole, empty };
  });
  expect(outcome).toMatchObject({ refused: [-14], whole: -11, empty: -11 }); // EFAULT, EAGAIN
  expect(outcome.count).toBeGreaterThan(120);
});

test("huge counts are refused", async () => {
  const results = await subject.run(({ native, memory }) => {
    const { mem } = memory(1 << 20);
    const fd = native.socket(2, 2, 0);
    const results = {
      vectors: native.writev(fd, mem, 0, 1025),
      wrapping: native.writev(fd, mem, 0, 2 ** 29 + 1), // times 8 is 8 modulo 2^32
      messages: native.sendmmsg(fd, mem, 0, 257, 0),
      array: native.recvmmsg(fd, mem, (1 << 20) - 32 * 256 + 1, 256, 0),
      allowed: native.sendmmsg(fd, mem, 0, 0, 0),
    };
    native.close(fd);
    native.unregisterMemory(mem);
    return results;
  });
  expect(results).toEqual({
    vectors: -22, // EINVAL
    wrapping: -22,
    messages: -22,
    array: -14, // EFAULT
    allowed: 0,
  });
});

test("arguments of the wrong type throw", async () => {
  const messages = await subject.run(({ native, memory }) => {
    const wrong = native as unknown as Record<string, (...args: unknown[]) => unknown>;
    const { mem } = memory(16);
    const thrown = (name: string, ...args: unknown[]) => {
      try {
        return `returned ${wrong[name]?.(...args)}`;
      } catch (error) {
        return error instanceof TypeError ? error.message : `threw ${error}`;
      }
    };
    const messages = [
      thrown("registerMemory", new Uint8Array(8)),
      thrown("registerMemory"),
      thrown("recv", "0", mem, 0, 1, 0),
      thrown("recv", 0, mem, 0, 1),
      thrown("recv", 0, mem, {}, 1, 0),
      thrown("writeBytes", 0, new Int32Array(1)),
      thrown("readBytes", 0, new DataView(new ArrayBuffer(1))),
      thrown("openAgent", null, 7),
      thrown("openAgent", undefined, "/proc/self/ns/net"),
      thrown("spawnHeld", null),
      thrown("spawnHeld", { file: "true", argv: "true" }),
      thrown("spawnHeld", { file: "true", argv: [7] }),
      thrown("loopStart", {}, new Int32Array(2)),
      thrown("loopStart", () => -1, new Int32Array(1)),
      thrown("loopStart", () => -1, new Uint32Array(2)),
    ];
    native.unregisterMemory(mem);
    return messages;
  });
  for (const message of messages) expect(message).toMatch(/^node-tuntap2: expected an? /);
});
