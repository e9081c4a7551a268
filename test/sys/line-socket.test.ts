import { afterAll, describe, expect, it } from "vitest";
import { Epoll } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { LineSocket, type Watcher } from "../../src/sys/sockets/line-socket.js";
import { socketPair } from "../../src/sys/sockets/socket.js";

interface Came {
  readonly line: string;
  readonly hasDescriptor: boolean;
}

/** A pair of sockets, and what comes at the second when it is woken up. */
function pair() {
  const made = socketPair();
  if (typeof made === "number") throw new Error(`socketpair: ${made}`);
  const wakers: ((events: number) => void)[] = [];
  const watcher: Watcher = {
    watch: (_fd, _events, callback) => wakers.push(callback),
    rewatch: () => undefined,
    unwatch: () => undefined,
  };
  const came: Came[] = [];
  const onLine = (line: string, passed: number | null): void => {
    came.push({ line, hasDescriptor: passed !== null });
    if (passed !== null) native.close(passed);
  };
  let ended = 0;
  const onEnd = (): void => {
    ended += 1;
  };
  const ends = made.map((fd) => new LineSocket(fd, watcher, 1 << 20, { onLine, onEnd }));
  const [sender, receiver] = ends;
  if (sender === undefined || receiver === undefined) throw new Error("no pair");
  const receive = (): readonly Came[] => {
    for (let count = 0; count < 8; count += 1) {
      wakers[0]?.(Epoll.Out);
      wakers[1]?.(Epoll.In);
    }
    return came.splice(0);
  };
  const close = (): void => ends.forEach((end) => void end.close());
  return { sender, receiver, receive, close, ended: () => ended };
}

/** A handle to pass. */
const handle = native.copyFd(2);
afterAll(() => void native.close(handle));

describe("a descriptor comes with the line with which it was sent", () => {
  it.each([
    ["before others", [true, false, false]],
    ["after others", [false, false, true]],
    ["between others", [false, true, false, true, true, false]],
  ])("%s", (_, passing) => {
    const { sender, receive, close } = pair();
    const sent = passing.map((hasDescriptor, index) => ({ line: `line ${index}`, hasDescriptor }));
    for (const { line, hasDescriptor } of sent) sender.send(line, hasDescriptor ? handle : null);
    expect(receive()).toEqual(sent);
    close();
  });

  it("also if that line is longer than what one read receives", () => {
    const { sender, receive, close } = pair();
    const long = "x".repeat(100_000);
    sender.send("before");
    sender.send(long, handle);
    sender.send("after");
    expect(receive()).toEqual([
      { line: "before", hasDescriptor: false },
      { line: long, hasDescriptor: true },
      { line: "after", hasDescriptor: false },
    ]);
    close();
  });
});

it("a peer that does not read is given up before its lines fill the memory", () => {
  const { sender, close, ended } = pair();
  const long = "x".repeat(1 << 20);
  for (let count = 0; count < 7; count += 1) sender.send(long);
  expect(ended()).toBe(0);
  for (let count = 0; count < 100; count += 1) sender.send(long);
  expect(ended()).toBe(1);
  close();
});
