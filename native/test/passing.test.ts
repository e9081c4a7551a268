import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Subject } from "./subject.js";

let subject: Subject;
const directory = mkdtempSync(join(tmpdir(), "tuntap2-"));
// The subject may be another user.
chmodSync(directory, 0o777);
beforeAll(() => {
  subject = Subject.start();
});
afterAll(async () => {
  await subject.stop();
  rmSync(directory, { recursive: true });
});

test("a descriptor passed along with bytes", async () => {
  const seen = await subject.run(
    async ({ native, memory, errno }, path: string) => {
      const { mem, bytes } = memory(4096);
      const name = new TextEncoder().encode(path);
      bytes[0] = 1;
      bytes.set(name, 2);
      const length = 2 + name.length + 1;
      const listener = native.socket(1, 1, 0);
      native.bind(listener, mem, 0, length);
      native.listen(listener, 8);
      const client = native.socket(1, 1, 0);
      native.connect(client, mem, 0, length);
      const server = native.accept(listener, mem, 1024, 110);
      const part = new Uint8Array(64);
      const empty = native.receivePassed(server, part);
      const sent = native.sendPassing(client, Uint8Array.of(1, 2, 3), listener);
      const alone = native.sendPassing(client, Uint8Array.of(4), null);
      const came = native.receivePassed(server, part);
      if (typeof came === "number") throw new Error(`receivePassed: ${came}`);
      // The descriptor that came is the listener: a second client arrives at it.
      const second = native.socket(1, 1, 0);
      native.connect(second, mem, 0, length);
      const taken = native.accept(came.passed, mem, 1024, 110);
      bytes.set([7, 8, 9], 2048);
      const written = native.write(second, mem, 2048, 3);
      const outside = native.write(second, mem, 4095, 2);
      const read = native.readBytes(taken, part);
      const ends = [part[0], part[1], part[2]];
      const rest = native.receivePassed(server, part);
      native.close(client);
      const end = native.receivePassed(server, part);
      return {
        empty: empty === -errno.EAGAIN,
        sent,
        alone,
        came: came.length,
        written,
        read,
        ends,
        isNew: came.passed !== listener,
        isTaken: taken >= 0,
        outside: outside === -errno.EFAULT,
        rest,
        end,
        uid: native.peerUid(server) === process.geteuid?.(),
        stray: native.sendPassing(second, Uint8Array.of(1), 999) === -errno.EBADF,
      };
    },
    join(directory, "socket"),
  );
  expect(seen).toEqual({
    empty: true,
    sent: 3,
    alone: 1,
    came: 3,
    written: 3,
    read: 3,
    ends: [7, 8, 9],
    isNew: true,
    isTaken: true,
    outside: true,
    uid: true,
    stray: true,
    rest: { length: 1, passed: -1 },
    end: { length: 0, passed: -1 },
  });
});

test("a lock has one holder", async () => {
  const seen = await subject.run(
    ({ native, errno }, path: string) => {
      const first = native.lockFile(path);
      const second = native.lockFile(path);
      native.close(first);
      const third = native.lockFile(path);
      native.close(third);
      return { first: first >= 0, second: second === -errno.EAGAIN, third: third >= 0 };
    },
    join(directory, "lock"),
  );
  expect(seen).toEqual({ first: true, second: true, third: true });
});

test("a peer is identified by the network namespace of its socket and by its process", async () => {
  const seen = await subject.run(
    async ({ native, memory, errno }, path: string) => {
      const { mem, bytes } = memory(4096);
      const name = new TextEncoder().encode(path);
      bytes[0] = 1;
      bytes.set(name, 2);
      const { spawn } = process.getBuiltinModule("node:child_process");
      const { readFileSync } = process.getBuiltinModule("node:fs");
      const results: Record<string, unknown> = {};
      for (const type of [1, 5]) {
        bytes[2 + name.length - 1] = 0x30 + type;
        const listener = native.socket(1, type, 0);
        native.bind(listener, mem, 0, 2 + name.length + 1);
        native.listen(listener, 8);
        const own = native.networkCookie(listener);
        for (const way of [[], ["unshare", "-Ur"], ["unshare", "-Urn"]]) {
          const program =
            "socket(S, 1, $ARGV[1], 0); connect(S, pack_sockaddr_un($ARGV[0])); sleep 100";
          const [file = "", ...args] = [
            ...[...way, "perl", "-MSocket", "-e", program],
            ...[`${path.slice(0, -1)}${type}`, `${type}`],
          ];
          const client = spawn(file, args, { stdio: "ignore" });
          let socket = -errno.EAGAIN;
          while (socket === -errno.EAGAIN) {
            await new Promise((resolve) => setTimeout(resolve, 5));
            socket = native.accept(listener, mem, 1024, 110);
          }
          const pidfd = native.peerPidfd(socket);
          const pid = () =>
            /^Pid:\s*(.*)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, "utf8"))?.[1];
          const before = pid();
          const gone = new Promise((resolve) => client.once("exit", resolve));
          client.kill("SIGKILL");
          await gone;
          results[`${type} ${way.join(" ")}`] = [
            native.networkCookie(socket) === own,
            before === `${client.pid}`,
            pid(),
          ];
          native.close(pidfd);
          native.close(socket);
        }
        native.close(listener);
      }
      const tap = native.networkCookie(999);
      return { results, stray: tap === -errno.EBADF, none: native.peerPidfd(999) === -errno.EBADF };
    },
    join(directory, "peer0"),
  );
  const same = [true, true, "-1"];
  const other = [false, true, "-1"];
  expect(seen).toEqual({
    results: {
      "1 ": same,
      "1 unshare -Ur": same,
      "1 unshare -Urn": other,
      "5 ": same,
      "5 unshare -Ur": same,
      "5 unshare -Urn": other,
    },
    stray: true,
    none: true,
  });
});
