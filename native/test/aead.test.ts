import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
beforeAll(() => {
  subject = Subject.start();
});
afterAll(() => subject.stop());

test("RFC 8439, A.5: the ciphertext, whose tag here is one without associated data", async () => {
  const text =
    "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them other than as /“work in progress./”";
  const sealed = await subject.run(({ native, memory }, text: string) => {
    const { mem, bytes, view } = memory(1024);
    const key = native.aeadKey(
      Buffer.from("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0", "hex"),
    );
    const plain = Buffer.from(text);
    bytes.set(plain, 512);
    [key, 0x04030201, 0x08070605, 32, 1, 0, 512, 0, 512, plain.length].forEach((word, i) => {
      view.setUint32(4 * i, word, true);
    });
    native.aeadSeal(mem, 0, 1);
    native.aeadForget(key);
    native.unregisterMemory(mem);
    return Buffer.from(bytes.subarray(512, 512 + plain.length)).toString("hex");
  }, text);
  expect(sealed).toBe(
    "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2" +
      "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf" +
      "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855" +
      "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4" +
      "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e" +
      "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a" +
      "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10" +
      "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29" +
      "a6ad5cb4022b02709b",
  );
});

test("every length, in pieces and padded, is sealed as node:crypto seals it, and opened again", async () => {
  const seen = await subject.run(({ native, memory, require }) => {
    const { createCipheriv, randomFillSync } =
      require("node:crypto") as typeof import("node:crypto");
    const { mem, bytes, view } = memory(1 << 19);
    const [plain, sealed, opened] = [65_536, 1 << 18, 3 << 17] as const;
    const secrets = [0, 1].map(() => randomFillSync(new Uint8Array(32)));
    const keys = secrets.map((secret) => native.aeadKey(secret));
    const put = (at: number, ...words: number[]) =>
      words.forEach((word, i) => {
        view.setUint32(at + 4 * i, word, true);
      });
    const lengths = [...Array.from({ length: 400 }, (_, i) => i), 1420, 9000, 65_504, 65_519];
    const wrong: string[] = [];
    for (const [i, length] of lengths.entries()) {
      const which = i % 2;
      const padding = Math.min(i % 16, 65_519 - length);
      const counter = [length, i % 3 === 0 ? 0xfedc_ba98 : 0] as const;
      randomFillSync(bytes, plain, length);
      const cut = Math.floor(length / 3); // in three pieces, of which the second is empty
      put(4096, plain, cut, 0, 0, plain + cut, length - cut);
      put(1, keys[which] ?? 0, ...counter, 4096, 3, padding, sealed, 77);
      const done = native.aeadSeal(mem, 1, 1);
      const nonce = Buffer.alloc(12);
      nonce.writeUInt32LE(counter[0], 4);
      nonce.writeUInt32LE(counter[1], 8);
      const cipher = createCipheriv("chacha20-poly1305", secrets[which] ?? "", nonce, {
        authTagLength: 16,
      });
      const message = Buffer.concat([bytes.subarray(plain, plain + length), Buffer.alloc(padding)]);
      const expected = Buffer.concat([cipher.update(message), cipher.final(), cipher.getAuthTag()]);
      const result = view.getInt32(1 + 28, true);
      const isSame = expected.equals(bytes.subarray(sealed, sealed + expected.length));
      if (done !== 1 || result !== expected.length || !isSame) wrong.push(`seal ${length}`);
      const target = i % 5 === 0 ? sealed : opened;
      put(1, keys[which] ?? 0, ...counter, sealed, expected.length, 99, target, 77);
      const undone = native.aeadOpen(mem, 1, 1);
      const isBack = message.equals(bytes.subarray(target, target + message.length));
      const back = view.getInt32(1 + 28, true);
      if (undone !== 1 || back !== message.length || !isBack) wrong.push(`open ${length}`);
    }
    for (const key of keys) native.aeadForget(key);
    native.unregisterMemory(mem);
    return { wrong, lengths: lengths.length };
  });
  expect(seen).toEqual({ wrong: [], lengths: 404 });
});

test("what is not authentic is refused alone, and zeros are left of it", async () => {
  const seen = await subject.run(({ native, memory, errno }) => {
    const { mem, bytes, view } = memory(1 << 16);
    const key = native.aeadKey(new Uint8Array(32).fill(7));
    const other = native.aeadKey(new Uint8Array(32).fill(8));
    const count = 6;
    const at = (index: number) => 4096 + index * 256;
    const describe = (index: number, words: readonly number[]) =>
      words.forEach((word, i) => {
        view.setUint32(32 * index + 4 * i, word, true);
      });
    for (let index = 0; index < count; index++) {
      view.setUint32(2048 + 8 * index, at(index), true);
      view.setUint32(2048 + 8 * index + 4, 100, true);
      bytes.fill(0x55, at(index), at(index) + 100);
      describe(index, [key, index, 0, 2048 + 8 * index, 1, 0, at(index), 0]);
    }
    native.aeadSeal(mem, 0, count);
    for (let index = 0; index < count; index++) {
      describe(index, [key, index, 0, at(index), 116, 0, at(index), 0]);
    }
    const flip = (offset: number) => bytes.set([bytes[offset] ^ 1], offset);
    flip(at(1)); // a byte of the message
    flip(at(2) + 115); // and of the tag
    view.setUint32(32 * 3 + 4, 77, true); // another counter
    view.setUint32(32 * 4, other, true); // another key
    const opened = native.aeadOpen(mem, 0, count);
    const results = Array.from({ length: count }, (_, i) => view.getInt32(32 * i + 28, true));
    const left = Array.from({ length: count }, (_, i) => new Set(bytes.slice(at(i), at(i) + 100)));
    describe(0, [key, 0, 0, at(0), 15, 0, at(0), 0]);
    const short = [native.aeadOpen(mem, 0, 1), view.getInt32(28, true)];
    native.aeadForget(key);
    native.aeadForget(other);
    native.unregisterMemory(mem);
    return { opened, results, left: left.map((set) => [...set]), short, bad: -errno.EBADMSG };
  });
  const { bad } = seen;
  expect(seen).toMatchObject({ opened: 6, results: [100, bad, bad, bad, bad, 100] });
  expect(seen).toMatchObject({ left: [[0x55], [0], [0], [0], [0], [0x55]], short: [1, bad] });
});

test("what is out of range is refused, and nothing is done to any message", async () => {
  const seen = await subject.run(({ native, memory, errno }) => {
    const size = 1 << 18;
    const { mem, bytes, view } = memory(size);
    const key = native.aeadKey(new Uint8Array(32));
    const most = 2 ** 32 - 1;
    const put = (at: number, words: readonly number[]) =>
      words.forEach((word, i) => {
        view.setUint32(at + 4 * i, word, true);
      });
    const good = [key, 1, 0, 4096, 1, 0, 8192, 0];
    const names = new Map(Object.entries(errno).map(([name, value]) => [-value, name]));
    /** What comes of a table with a good record and one like it but for a word or more. */
    const attempt = (call: "aeadSeal" | "aeadOpen", changed: Readonly<Record<number, number>>) => {
      const first = call === "aeadSeal" ? good : [key, 1, 0, 8192, 100, 0, 8192, 0];
      put(0, [...first, ...first]);
      for (const [word, value] of Object.entries(changed)) {
        view.setUint32(32 + 4 * Number(word), value, true);
      }
      put(4096, [16_384, 100, most, 2]);
      const before = bytes.slice();
      const result = native[call](mem, 0, 2);
      const isUntouched = before.every((byte, i) => byte === bytes[i]);
      return `${names.get(result) ?? result}${isUntouched ? "" : " touched"}`;
    };
    const seals = {
      none: attempt("aeadSeal", {}),
      key: attempt("aeadSeal", { 0: key + 1 }),
      hugeKey: attempt("aeadSeal", { 0: most }),
      padding: attempt("aeadSeal", { 5: 16 }),
      pieces: attempt("aeadSeal", { 3: size - 7 }),
      pieceCount: attempt("aeadSeal", { 4: 1025 }),
      wrappingCount: attempt("aeadSeal", { 4: 2 ** 29 }),
      piece: attempt("aeadSeal", { 4: 2 }),
      output: attempt("aeadSeal", { 6: size - 115 }),
      hugeOutput: attempt("aeadSeal", { 6: most }),
    };
    const opens = {
      none: attempt("aeadOpen", {}),
      key: attempt("aeadOpen", { 0: key + 1 }),
      input: attempt("aeadOpen", { 3: size - 99 }),
      length: attempt("aeadOpen", { 4: 65_536 }),
      hugeLength: attempt("aeadOpen", { 4: most }),
      output: attempt("aeadOpen", { 6: size - 99 }),
      above: attempt("aeadOpen", { 6: 8193 }),
      below: attempt("aeadOpen", { 6: 8192 - 99 }),
      beside: attempt("aeadOpen", { 6: 8192 - 100 }),
    };
    put(4096, [16_384, 65_519, 0, 1]);
    put(0, [...good]);
    view.setUint32(16, 2, true);
    const long = native.aeadSeal(mem, 0, 1) === -errno.EMSGSIZE;
    const calls = [
      native.aeadSeal(mem, 0, 257) === -errno.EINVAL,
      native.aeadOpen(mem, 0, 257) === -errno.EINVAL,
      native.aeadSeal(mem, size - 31, 1) === -errno.EFAULT,
      native.aeadOpen(mem, most, 1) === -errno.EFAULT,
      native.aeadSeal(1023, 0, 1) === -errno.EFAULT,
      native.aeadOpen(mem, 0, 0) === 0,
    ];
    native.aeadForget(key);
    native.unregisterMemory(mem);
    return { seals, opens, long, calls };
  });
  expect(seen.seals).toEqual({
    none: "2 touched",
    key: "ENOENT",
    hugeKey: "ENOENT",
    padding: "EINVAL",
    pieces: "EFAULT",
    pieceCount: "EINVAL",
    wrappingCount: "EINVAL",
    piece: "EFAULT",
    output: "EFAULT",
    hugeOutput: "EFAULT",
  });
  expect(seen.opens).toEqual({
    none: "2 touched",
    key: "ENOENT",
    input: "EFAULT",
    length: "EMSGSIZE",
    hugeLength: "EMSGSIZE",
    output: "EFAULT",
    above: "EINVAL",
    below: "EINVAL",
    beside: "2 touched",
  });
  expect(seen).toMatchObject({ long: true, calls: [true, true, true, true, true, true] });
});

test("tables of chance are worked on or refused as a whole, and no other byte is touched", async () => {
  const seen = await subject.run(({ native, memory, errno }) => {
    const size = 1 << 14;
    const { mem, view } = memory(size);
    const other = memory(size); // beside it, mostly: nothing is ever written there
    const key = native.aeadKey(new Uint8Array(32));
    let state = 1;
    const below = (limit: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * limit);
    };
    const word = () => {
      const kind = below(6);
      if (kind === 0) return below(2 ** 32);
      return kind === 1 ? size - below(300) : below(kind === 2 ? 4 : size);
    };
    const outcomes = new Map<string, number>();
    const names = new Map(Object.entries(errno).map(([name, value]) => [-value, name]));
    for (let round = 0; round < 20_000; round++) {
      const count = 1 + below(4);
      for (let at = 0; at < 256; at += 4) view.setUint32(at, word(), true);
      for (let record = 0; record < count; record++) {
        if (below(8) > 0) view.setUint32(32 * record, key, true);
        if (below(4) > 0) view.setUint32(32 * record + 16, below(20), true);
        if (below(4) > 0) view.setUint32(32 * record + 20, below(17), true);
      }
      const table = below(20) === 0 ? size - below(160) : 0;
      const result =
        below(2) === 0 ? native.aeadSeal(mem, table, count) : native.aeadOpen(mem, table, count);
      const outcome = names.get(result) ?? (result === count ? "done" : `${result}`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    const isUntouched = other.bytes.every((byte) => byte === 0);
    native.aeadForget(key);
    for (const each of [mem, other.mem]) native.unregisterMemory(each);
    return { outcomes: [...outcomes.keys()].toSorted(), isUntouched };
  });
  expect(seen.outcomes).toEqual(["EFAULT", "EINVAL", "EMSGSIZE", "ENOENT", "done"]);
  expect(seen.isUntouched).toBe(true);
});

test("messages whose pieces do not fit are left for the next call", async () => {
  const seen = await subject.run(({ native, memory }) => {
    const { mem, view } = memory(1 << 16);
    const key = native.aeadKey(new Uint8Array(32));
    for (let i = 0; i < 6; i++) {
      [key, i, 0, 4096, 1000, 0, 32_768, 0].forEach((word, k) => {
        view.setUint32(32 * i + 4 * k, word, true);
      });
    }
    for (let i = 0; i < 1000; i++) view.setUint32(4096 + 8 * i + 4, 1, true);
    const sealed = native.aeadSeal(mem, 0, 6);
    const results = [0, 3, 4].map((i) => view.getInt32(32 * i + 28, true));
    native.aeadForget(key);
    native.unregisterMemory(mem);
    return { sealed, results };
  });
  expect(seen).toEqual({ sealed: 4, results: [1016, 1016, 0] });
});

test("keys have numbers, up to 8192, of their own thread", async () => {
  const seen = await subject.run(async ({ native, addon, require, errno }) => {
    const { Worker } = require("node:worker_threads") as typeof import("node:worker_threads");
    const secret = new Uint8Array(32);
    const numbers = Array.from({ length: 8193 }, () => native.aeadKey(secret));
    const forgotten = native.aeadForget(5);
    const twice = native.aeadForget(5) === -errno.ENOENT;
    const again = native.aeadKey(secret);
    const worker = new Worker(
      `const native = require(${JSON.stringify(addon)});
       const { parentPort } = require("node:worker_threads");
       const other = native.aeadForget(0);
       for (let i = 0; i < 100; i++) native.aeadKey(new Uint8Array(32).fill(i)); // left to its end
       parentPort.postMessage(other);`,
      { eval: true },
    );
    const [other] = await Promise.all([
      new Promise((resolve) => worker.once("message", resolve)),
      new Promise((resolve) => worker.once("exit", resolve)),
    ]);
    for (let key = 0; key < 8192; key++) native.aeadForget(key);
    const lengths = [0, 31, 33].map((length) => native.aeadKey(new Uint8Array(length)));
    const edges = [numbers[0], numbers[8191], numbers[8192] === -errno.ENOSPC];
    const none = other === -errno.ENOENT;
    return { edges, forgotten, twice, again, none, lengths };
  });
  expect(seen).toEqual({
    edges: [0, 8191, true],
    forgotten: 0,
    twice: true,
    again: 5,
    none: true,
    lengths: [-22, -22, -22], // EINVAL
  });
});

test("node:crypto is not disturbed by what was refused", async () => {
  const seen = await subject.run(({ native, memory, require }) => {
    const crypto = require("node:crypto") as typeof import("node:crypto");
    const { mem, view } = memory(1024);
    const key = native.aeadKey(new Uint8Array(32));
    [key, 0, 0, 512, 100, 0, 512, 0].forEach((word, i) => {
      view.setUint32(4 * i, word, true);
    });
    for (let i = 0; i < 100; i++) native.aeadOpen(mem, 0, 1);
    const { publicKey, privateKey } = crypto.generateKeyPairSync("x25519");
    const shared = crypto.diffieHellman({ publicKey, privateKey }).length;
    native.aeadForget(key);
    native.unregisterMemory(mem);
    return shared;
  });
  expect(seen).toBe(32);
});

test("without libcrypto, or with one that lacks the cipher, keys are refused and the addon loads", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cipher-"));
  const [program, ...sources] = [
    join(folder, "cipher"),
    ...["cipher.c", "../src/crypto/aead.c"].map((file) =>
      fileURLToPath(new URL(file, import.meta.url)),
    ),
  ];
  const flags = ["-Wall", "-Wextra", "-Werror", "-std=gnu17", "-D_GNU_SOURCE", "-o", program];
  const seen = [[], ["-DREFUSES"]].map((options) => {
    execFileSync("cc", [...flags, ...options, ...sources]);
    return execFileSync(program, { encoding: "utf8" });
  });
  rmSync(folder, { recursive: true });
  expect(seen).toEqual(["-95 -2 0\n", "-95 -2 0\n"]); // EOPNOTSUPP, ENOENT
  const addon = fileURLToPath(new URL("../build/tuntap2.node", import.meta.url));
  const symbols = execFileSync("nm", ["-D", "--undefined-only", addon], { encoding: "utf8" });
  const kinds = symbols.match(/^\s*\w (?=EVP_)/gm)?.map((kind) => kind.trim()) ?? [];
  expect(new Set(kinds)).toEqual(new Set(["w"])); // weak
});
