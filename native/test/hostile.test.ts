import { env } from "node:process";
import { expect, test } from "vitest";
import { Subject } from "./subject.js";

/** For how long; test/fuzz/run.sh asks for more, under the sanitizers. */
const { FUZZ_SECONDS = "1" } = env;
const milliseconds = Number(FUZZ_SECONDS) * 1_000;

/**
 * Every function is called with arguments of every kind, right and wrong, over and over. Left out is
 * what would reach others, or end the process as it should: signals to any process, descriptors that
 * are Node's, locking down.
 */
test("hostile arguments give an errno or a TypeError, and nothing else happens", {
  timeout: milliseconds + 30_000,
}, async ({ annotate }) => {
  // A network of its own: an address of chance must lead nowhere.
  const subject = Subject.start({ inside: 'exec unshare -n "$@"' });
  const seed = Math.floor(Math.random() * 2 ** 32);
  const result = await subject.run(
    ({ native, memory, require }, seed: number, milliseconds: number) => {
      const left = [
        "adoptFd",
        "copyFd",
        "pidfdOpen",
        "loopStart",
        "loopStop",
        "lockDown",
        "becomeKeeper",
      ];
      left.push("pidfdSignal", "useBroker", "endBroker", "keeperText", "spawnHeld", "openAgent");
      left.push("releaseOutput");
      let state = seed;
      const below = (limit: number) => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return Math.floor((state / 2 ** 32) * limit);
      };
      const pick = <T>(from: readonly T[]): T => from[below(from.length)];
      const SIZE = 4096;
      const own = memory(SIZE);
      const descriptors: number[] = [];
      const memories = [own.mem];
      const edges = [0, 1, 2, 8, 16, 28, 64, SIZE - 1, SIZE, SIZE + 1, 2 ** 16, 2 ** 31, 2 ** 32];
      const odd = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, -0, 2 ** 53, -(2 ** 31)];
      const strange = [undefined, null, "", "\0", "x".repeat(5_000), {}, [], true, 1n, Symbol("s")];
      const arrays = [0, 1, 16, 32, 300, 5_000].map((size) => new Uint8Array(size));
      const views = [
        new Int32Array(4),
        new ArrayBuffer(8),
        new DataView(new ArrayBuffer(8)),
        () => 0,
      ];
      const any = (): unknown => {
        switch (below(12)) {
          case 0:
          case 1:
          case 2:
            return descriptors.length > 0 ? pick(descriptors) : below(32);
          case 3:
          case 4:
            return pick(memories);
          case 5:
          case 6:
            return pick(edges);
          case 7:
            return pick(odd);
          case 8:
            return pick<unknown>(strange);
          case 9:
            return pick<unknown>([...arrays, ...views]);
          default:
            return below(SIZE);
        }
      };
      const scramble = () => {
        // Lengths, counts and offsets that are nearly right, where vectors and messages may stand.
        for (let i = 0; i < 16; i += 1) {
          const value = below(3) === 0 ? below(2 ** 32) : below(SIZE);
          own.view.setUint32(below(SIZE / 4) * 4, value, true);
        }
      };
      type Callable = (...given: unknown[]) => unknown;
      const functions = Object.entries(native as unknown as Record<string, Callable>).filter(
        ([name]) => !left.includes(name),
      );
      const makers = [
        "socket",
        "accept",
        "pipe",
        "socketPair",
        "agentSocket",
        "agentBoundSocket",
        "agentOpenTap",
      ];
      const fs = require("node:fs") as typeof import("node:fs");
      const before = fs.fstatSync(2).ino;
      const wrong = new Set<string>();
      const end = performance.now() + milliseconds;
      let calls = 0;
      while (performance.now() < end) {
        scramble();
        if (descriptors.length < 8) {
          const fd = native.socket(pick([2, 10, 1]), pick([1, 2]), 0);
          if (fd >= 0) descriptors.push(fd);
        }
        for (let i = 0; i < 64; i += 1) {
          const [name, call] = pick(functions);
          const given = Array.from({ length: below(6) }, any);
          calls += 1;
          try {
            const answer = call(...given);
            if (name === "registerMemory" && Number(answer) >= 0) memories.push(Number(answer));
            if (makers.includes(name) && typeof answer === "number" && answer > 2)
              descriptors.push(answer);
          } catch (error) {
            if (!(error instanceof TypeError)) wrong.add(`${name}: ${String(error)}`);
          }
        }
        if (memories.length > 64)
          for (const mem of memories.splice(1)) native.unregisterMemory(mem);
        if (descriptors.length > 200) for (const fd of descriptors.splice(0)) native.close(fd);
        if (native.read(-1, own.mem, 0, 1) !== -9) wrong.add("-1 became a descriptor");
        native.unregisterMemory(own.mem);
        memories[0] = own.mem = native.registerMemory(own.bytes.buffer as ArrayBuffer);
      }
      return { calls, wrong: [...wrong], alive: fs.fstatSync(2).ino === before };
    },
    seed,
    milliseconds,
  );
  expect(result, `seed ${seed}`).toMatchObject({ wrong: [], alive: true });
  expect(result.calls).toBeGreaterThan(0);
  await annotate(`${result.calls} calls`, "measured");
  await subject.stop();
});
