import { afterAll, beforeAll, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
beforeAll(() => {
  subject = Subject.start();
});
afterAll(() => subject.stop());

/** Loopback, of both families: struct sockaddr_in and sockaddr_in6. */
const families = [
  { name: "IPv4", domain: 2, sockaddr: [2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0] },
  {
    name: "IPv6",
    domain: 10,
    sockaddr: [10, 0, ...Array.from({ length: 21 }, () => 0), 1, 0, 0, 0, 0],
  },
] as const;

test.each(families)("a TCP connection over $name", async ({ domain, sockaddr }) => {
  const seen = await subject.run(
    async ({ native, memory, sleep, errno }, domain: number, sockaddr: readonly number[]) => {
      const length = sockaddr.length;
      const { mem, bytes, view } = memory(4096);
      const eventually = async (call: () => number) => {
        for (;;) {
          const result = call();
          if (result !== -errno.EAGAIN) return result;
          await sleep(1);
        }
      };
      bytes.set(sockaddr, 0);
      const listener = native.socket(domain, 1, 0);
      native.setsockopt(listener, 1, 2, 1);
      const reuse = native.getsockopt(listener, 1, 2);
      const bound = native.bind(listener, mem, 0, length);
      const listening = native.listen(listener, 8);
      const nameLength = native.getsockname(listener, mem, 64, 28);
      const client = native.socket(domain, 1, 0);
      const connecting = native.connect(client, mem, 64, length);
      const server = await eventually(() => native.accept(listener, mem, 128, 28));
      const connected = native.getsockopt(client, 1, 4);
      native.getpeername(client, mem, 192, 28);
      native.getsockname(client, mem, 224, 28);
      const same = (a: number, b: number) =>
        bytes.subarray(a, a + length).every((byte, i) => byte === bytes[b + i]);

      bytes.set(new TextEncoder().encode("hello, world"), 1024);
      view.setUint32(512, 1024, true);
      view.setUint32(516, 5, true);
      view.setUint32(520, 1029, true);
      view.setUint32(524, 7, true);
      const empty = native.recv(server, mem, 2048, 64, 0);
      const sent = native.sendmsg(client, mem, 512, 2, 0);
      const received = await eventually(() => native.recv(server, mem, 2048, 64, 0));
      const text = new TextDecoder().decode(bytes.slice(2048, 2048 + received));
      const written = native.writev(server, mem, 512, 1);
      const read = await eventually(() => native.read(client, mem, 2048, 64));
      const halfClosed = native.shutdown(client, 1);
      const end = await eventually(() => native.recv(server, mem, 2048, 64, 0));
      const late = native.writeBytes(server, new TextEncoder().encode("late"));
      const buffer = new Uint8Array(8);
      const lateRead = await eventually(() => native.readBytes(client, buffer));
      const info = new Uint8Array(8);
      // TCP_INFO of tcp(7): the first byte is the state.
      const infoLength = native.getsockoptBytes(client, 6, 11, info);
      const closed = [client, server, listener].map((fd) => native.close(fd));
      native.unregisterMemory(mem);
      return {
        reuse,
        bound,
        listening,
        nameLength,
        connecting,
        connected,
        peer: same(192, 64),
        accepted: same(224, 128),
        empty,
        sent,
        text,
        written,
        read,
        halfClosed,
        end,
        late,
        infoLength,
        state: info[0],
        lateText: new TextDecoder().decode(buffer.subarray(0, lateRead)),
        closed,
      };
    },
    domain,
    sockaddr,
  );
  expect(seen).toEqual({
    reuse: 1,
    bound: 0,
    listening: 0,
    nameLength: sockaddr.length,
    connecting: -115, // EINPROGRESS
    connected: 0,
    peer: true,
    accepted: true,
    empty: -11, // EAGAIN
    sent: 12,
    text: "hello, world",
    written: 5,
    read: 5,
    halfClosed: 0,
    end: 0,
    late: 4,
    infoLength: 8,
    state: 5, // TCP_FIN_WAIT2
    lateText: "late",
    closed: [0, 0, 0],
  });
});

test("a refused connection shows in SO_ERROR, a broken one raises no signal", async () => {
  const seen = await subject.run(async ({ native, memory, until }) => {
    const { mem, bytes } = memory(64);
    bytes.set([2, 0, 0, 1, 127, 0, 0, 1], 0); // port 1: nobody listens
    const fd = native.socket(2, 1, 0);
    native.connect(fd, mem, 0, 16);
    let refused = 0;
    await until(() => {
      refused = native.getsockopt(fd, 1, 4);
      return refused !== 0;
    });
    bytes.fill(0, 32, 64);
    const broken = native.sendmsg(fd, mem, 32, 1, 0);
    native.close(fd);
    native.unregisterMemory(mem);
    return { refused, broken };
  });
  expect(seen).toEqual({ refused: 111 /* ECONNREFUSED */, broken: -32 /* EPIPE */ });
});

test.each(families)(
  "batches of datagrams with names and control data over $name",
  async (family) => {
    const seen = await subject.run(
      async ({ native, memory, sleep }, { domain, sockaddr }) => {
        const { mem, bytes, view } = memory(65536);
        const [level, ttl, receiveTtl] = domain === 2 ? [0, 2, 12] : [41, 52, 51];
        bytes.set(sockaddr, 0);
        const receiver = native.socket(domain, 2, 0);
        native.bind(receiver, mem, 0, sockaddr.length);
        native.getsockname(receiver, mem, 0, 28);
        native.setsockopt(receiver, level, receiveTtl, 1);
        const sender = native.socket(domain, 2, 0);

        const message = (at: number, fields: readonly number[]) =>
          fields.forEach((field, i) => {
            view.setUint32(at + 4 * i, field, true);
          });
        // Three datagrams of 1, 2 and 3 vectors, unaligned on purpose, with a TTL of 40 + i.
        for (let i = 0; i < 3; i++) {
          const vectors = 1025 + 64 * i;
          for (let k = 0; k <= i; k++) {
            view.setUint32(vectors + 8 * k, 2048 + 16 * k, true);
            view.setUint32(vectors + 8 * k + 4, 10, true);
            bytes.fill(65 + k, 2048 + 16 * k, 2048 + 16 * k + 10);
          }
          const control = 3072 + 32 * i;
          view.setBigUint64(control, 20n, true);
          view.setUint32(control + 8, level, true);
          view.setUint32(control + 12, ttl, true);
          view.setUint32(control + 16, 40 + i, true);
          message(256 + 32 * i, [0, sockaddr.length, vectors, i + 1, control, 24, 0, 0]);
        }
        const sent = native.sendmmsg(sender, mem, 256, 3, 0);
        const sentLengths = [0, 1, 2].map((i) => view.getUint32(256 + 32 * i + 28, true));
        await sleep(5);

        for (let i = 0; i < 4; i++) {
          const vector = 8192 + 8 * i;
          view.setUint32(vector, 16384 + 64 * i, true);
          view.setUint32(vector + 4, i === 1 ? 15 : 64, true); // the second is cut
          message(4096 + 32 * i, [9000 + 32 * i, 28, vector, 1, 10000 + 64 * i, 64, 0, 0]);
        }
        const received = native.recvmmsg(receiver, mem, 4096, 4, 0);
        native.getsockname(sender, mem, 128, 28);
        const portOf = (at: number) => view.getUint16(at + 2);
        const datagrams = Array.from({ length: received }, (_, i) => {
          const at = 4096 + 32 * i;
          const length = view.getUint32(at + 28, true);
          return {
            nameLength: view.getUint32(at + 4, true),
            fromSender: portOf(9000 + 32 * i) === portOf(128),
            ttl: view.getUint32(10000 + 64 * i + 16, true),
            truncated: (view.getUint32(at + 24, true) & 0x20) !== 0,
            text: new TextDecoder().decode(bytes.slice(16384 + 64 * i, 16384 + 64 * i + length)),
          };
        });
        const drained = native.recvmmsg(receiver, mem, 4096, 4, 0);
        native.close(receiver);
        native.close(sender);
        native.unregisterMemory(mem);
        return { sent, sentLengths, datagrams, drained };
      },
      { domain: family.domain, sockaddr: [...family.sockaddr] },
    );
    const [a, b, c] = ["A", "B", "C"].map((letter) => letter.repeat(10));
    const common = { nameLength: family.sockaddr.length, fromSender: true };
    expect(seen).toEqual({
      sent: 3,
      sentLengths: [10, 20, 30],
      datagrams: [
        { ...common, ttl: 40, truncated: false, text: a },
        { ...common, ttl: 41, truncated: true, text: `${a}${b}`.slice(0, 15) },
        { ...common, ttl: 42, truncated: false, text: `${a}${b}${c}` },
      ],
      drained: -11, // EAGAIN
    });
  },
);

test("messages whose vectors do not fit are left for the next call", async () => {
  const seen = await subject.run(({ native, memory }) => {
    const { mem, view } = memory(65536);
    const [receiver, sender] = [native.socket(2, 2, 0), native.socket(2, 2, 0)];
    view.setUint16(0, 2, true);
    view.setUint32(4, 0x0100007f, true);
    native.bind(receiver, mem, 0, 16);
    native.getsockname(receiver, mem, 0, 16);
    for (let i = 0; i < 6; i++) {
      [0, 16, 4096, 1000, 0, 0, 0, 0].forEach((field, k) => {
        view.setUint32(1024 + 32 * i + 4 * k, field, true);
      });
    }
    for (let i = 0; i < 1000; i++) view.setUint32(4096 + 8 * i + 4, 1, true);
    const sent = native.sendmmsg(sender, mem, 1024, 6, 0);
    native.close(receiver);
    native.close(sender);
    native.unregisterMemory(mem);
    return sent;
  });
  expect(seen).toBe(4); // of 1000 vectors each, into 4096
});

test("a pair of sockets, connected to each other", async () => {
  const seen = await subject.run(async ({ native, memory, errno }) => {
    const { mem, view } = memory(64);
    const made = native.socketPair(mem, 8, 8);
    const [a, b] = [view.getUint32(8, true), view.getUint32(12, true)];
    const written = native.writeBytes(a, Uint8Array.of(1, 2, 3));
    const bytes = new Uint8Array(8);
    const read = native.readBytes(b, bytes);
    const empty = native.readBytes(b, bytes);
    native.close(a);
    const end = native.readBytes(b, bytes);
    native.close(b);
    const tooSmall = native.socketPair(mem, 0, 7);
    const outside = native.socketPair(mem, 60, 8);
    const named = { again: -errno.EAGAIN, fault: -errno.EFAULT };
    return { made, written, read, first: bytes[0], empty, end, tooSmall, outside, ...named };
  });
  const { again, fault } = seen;
  expect(seen).toMatchObject({ made: 0, written: 3, read: 3, first: 1, empty: again, end: 0 });
  expect(seen).toMatchObject({ tooSmall: fault, outside: fault });
});

test("splice moves bytes between sockets through a pipe, and reports their end", async () => {
  const seen = await subject.run(async ({ native, memory, errno, sleep }) => {
    const { mem, bytes, view } = memory(4096);
    const eventually = async (call: () => number) => {
      for (;;) {
        const result = call();
        if (result !== -errno.EAGAIN) return result;
        await sleep(1);
      }
    };
    const connection = async () => {
      bytes.fill(0, 0, 16);
      bytes.set([2, 0, 0, 0, 127, 0, 0, 1], 0);
      const listener = native.socket(2, 1, 0);
      native.bind(listener, mem, 0, 16);
      native.listen(listener, 1);
      native.getsockname(listener, mem, 0, 16);
      const client = native.socket(2, 1, 0);
      native.connect(client, mem, 0, 16);
      const server = await eventually(() => native.accept(listener, mem, 0, 16));
      native.close(listener);
      return { client, server };
    };
    const [first, second] = [await connection(), await connection()];
    const pipe = native.pipe(1 << 20);
    if (typeof pipe === "number") return [pipe];
    const { readEnd, writeEnd } = pipe;
    const nothing = native.splice(first.server, writeEnd, 100) === -errno.EAGAIN;
    bytes.set(new TextEncoder().encode("spliced"), 1024);
    view.setUint32(512, 1024, true);
    view.setUint32(516, 7, true);
    native.sendmsg(first.client, mem, 512, 1, 0);
    native.shutdown(first.client, 1);
    const moved = [
      await eventually(() => native.splice(first.server, writeEnd, 100)),
      await eventually(() => native.splice(first.server, writeEnd, 100)),
      await eventually(() => native.splice(readEnd, second.client, 100)),
    ];
    const length = await eventually(() => native.recv(second.server, mem, 2048, 64, 0));
    return [
      nothing,
      ...moved,
      new TextDecoder().decode(bytes.slice(2048, 2048 + length)),
      native.splice(first.server, second.client, 1) === -errno.EINVAL,
      native.splice(1, 2, 1) === -errno.EBADF,
      [readEnd, writeEnd, first.server].map((fd) => native.close(fd)),
    ];
  });
  expect(seen).toEqual([true, 7, 0, 7, "spliced", true, true, [0, 0, 0]]);
});

test("replaceFd makes a handle refer to another descriptor, whose own handle is closed", async () => {
  const seen = await subject.run(({ native, errno }) => {
    const [first, second] = [native.pipe(4096), native.pipe(4096)];
    if (typeof first === "number" || typeof second === "number") return [first, second];
    native.watch(first.readEnd, 1, 7);
    const replaced = native.replaceFd(first.readEnd, second.readEnd) === first.readEnd;
    const closed = native.close(second.readEnd) === -errno.EBADF;
    native.writeBytes(second.writeEnd, Uint8Array.of(1, 2));
    const read = native.readBytes(first.readEnd, new Uint8Array(8));
    const unwatched = native.rewatch(first.readEnd, 1, 8) === -errno.ENOENT;
    const itself = native.replaceFd(first.readEnd, first.readEnd) === -errno.EINVAL;
    const ends = [first.readEnd, first.writeEnd, second.writeEnd].map((fd) => native.close(fd));
    return [replaced, closed, read, unwatched, itself, ends];
  });
  expect(seen).toEqual([true, true, 2, true, true, [0, 0, 0]]);
});
