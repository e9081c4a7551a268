import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DropCounters, DropReason } from "../../src/base/drop.js";
import { FRAMING_LOST, FrameStream, LONGEST_FRAME } from "../../src/frames/frame-stream.js";
import { Stack } from "../../src/stack/stack.js";
import { Errno, Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { socketPair } from "../../src/sys/sockets/socket.js";

const NONE = -Errno.EAGAIN;

let stack: Stack;
let memory: number;
let drops: DropCounters;
let stream: FrameStream;
let fd: number;
let client: number;
/** Where frames are received, and where those to be sent lie with their vector in front. */
let inbox: number;
let outbox: number;
/** Where the client's own bytes are. */
const bytes = new Uint8Array(new ArrayBuffer(1 << 20));

beforeEach(() => {
  stack = new Stack({
    mtu: 65_520,
    offload: false,
    mac: 0x5255_0a00_0202,
    memoryBudget: 64 * 1024 * 1024,
    seed: new Uint32Array([1, 2]),
    transmit: () => 0,
  });
  memory = native.registerMemory(stack.memory);
  drops = new DropCounters();
  const pair = socketPair();
  if (typeof pair === "number") throw new Error(`socketpair: ${pair}`);
  [fd, client] = pair;
  stream = new FrameStream({ stack, memory, fd, drops }, null);
  inbox = stack.takeBuffer();
  outbox = stack.takeBuffer();
});

afterEach(() => {
  native.close(fd);
  if (client >= 0) native.close(client);
  native.unregisterMemory(memory);
});

/** The bytes of a frame, told apart by their length and a seed. */
function frameOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => at * 7 + seed);
}

function framed(frame: Uint8Array, length = frame.length): Uint8Array {
  const whole = new Uint8Array(4 + frame.length);
  new DataView(whole.buffer).setUint32(0, length);
  whole.set(frame, 4);
  return whole;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** What next() has for the guest until there is no more, and what it said then. */
function received(): { frames: Uint8Array[]; end: number } {
  const frames: Uint8Array[] = [];
  for (;;) {
    const length = stream.next(inbox);
    if (length <= 0) return { frames, end: length };
    frames.push(stack.bytes.slice(inbox, inbox + length));
  }
}

function write(part: Uint8Array): void {
  expect(native.writeBytes(client, part)).toBe(part.length);
}

/** Sends a frame to the client, in two pieces. */
function send(frame: Uint8Array): number {
  const data = outbox + 64;
  stack.bytes.set(frame, data);
  const half = frame.length >> 1;
  new Uint32Array(stack.memory, outbox, 4).set([data, half, data + half, frame.length - half]);
  return stream.send(outbox, 2);
}

/** What the client can read now, `most` bytes of it. */
function read(most = bytes.length): Uint8Array {
  const length = native.readBytes(client, bytes.subarray(0, most));
  return length < 0 ? new Uint8Array() : bytes.slice(0, length);
}

function split(data: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const view = new DataView(data.buffer, data.byteOffset);
  for (let at = 0; at < data.length; ) {
    const length = view.getUint32(at);
    frames.push(data.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return frames;
}

describe("frames from a client", () => {
  it("come whole and in order, many at once", () => {
    const frames = [14, 60, 1514, 14, 9014, 65_534].map(frameOf);
    write(joined(frames.map((frame) => framed(frame))));
    expect(received()).toEqual({ frames, end: NONE });
    expect(received()).toEqual({ frames: [], end: NONE });
  });

  it("come whole when they arrive byte by byte", () => {
    const frames = [14, 15, 60].map(frameOf);
    const whole = joined(frames.map((frame) => framed(frame)));
    const seen = [...whole].flatMap((byte) => {
      write(Uint8Array.of(byte));
      return received().frames;
    });
    expect(seen).toEqual(frames);
  });

  it("come whole wherever the bytes are cut, and however long they are", () => {
    const frames = [LONGEST_FRAME, 100, LONGEST_FRAME, LONGEST_FRAME, 1514].map(frameOf);
    const whole = joined(frames.map((frame) => framed(frame)));
    const seen: Uint8Array[] = [];
    for (let at = 0; at < whole.length; at += 40_009) {
      write(whole.subarray(at, at + 40_009));
      seen.push(...received().frames);
    }
    expect(seen.map(({ length }) => length)).toEqual(frames.map(({ length }) => length));
    expect(seen.every((frame, index) => Buffer.compare(frame, frames[index]) === 0)).toBe(true);
  });

  it.each([0, 1, 13, LONGEST_FRAME + 1, 65_536 * 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])(
    "end with a length of %i, after the good ones before",
    (length) => {
      write(joined([framed(frameOf(60, 1)), framed(frameOf(60, 2), length)]));
      expect(received()).toEqual({ frames: [frameOf(60, 1)], end: FRAMING_LOST });
      expect(drops.entries()).toEqual([["link-framing", 1]]);
    },
  );

  it("end with the client, whatever is left of a frame", () => {
    write(joined([framed(frameOf(60, 1)), framed(frameOf(60, 2)).subarray(0, 33)]));
    native.close(client);
    client = -1;
    expect(received()).toEqual({ frames: [frameOf(60, 1)], end: NONE });
    expect(received()).toEqual({ frames: [], end: 0 });
    stream.reset();
    expect(stream.hasFrame).toBe(false);
    expect(drops.get(DropReason.LinkFraming)).toBe(0);
  });

  it("that were received and not taken are told of", () => {
    write(joined([framed(frameOf(60, 1)), framed(frameOf(60, 2)), Uint8Array.of(0, 0, 0)]));
    expect(stream.next(inbox)).toBe(60);
    expect(stream.hasFrame).toBe(true);
    expect(stream.next(inbox)).toBe(60);
    expect(stream.hasFrame).toBe(false);
  });
});

describe("frames to a client", () => {
  it("short ones are sent together by flush()", () => {
    const frames = [14, 60, 1514].map(frameOf);
    for (const frame of frames) expect(send(frame)).toBe(frame.length);
    expect(read()).toHaveLength(0);
    stream.flush(false);
    expect(split(read())).toEqual(frames);
    stream.flush(false);
    expect(read()).toHaveLength(0);
  });

  it("a long one goes at once, behind the short ones before", () => {
    const frames = [60, 65_534].map(frameOf);
    for (const frame of frames) expect(send(frame)).toBe(frame.length);
    expect(split(read())).toEqual(frames);
  });

  it("those that fill the room for short ones go at once", () => {
    const frames = Array.from({ length: 100 }, (_, index) => frameOf(1514, index));
    for (const frame of frames) expect(send(frame)).toBe(1514);
    stream.flush(false);
    expect(split(read())).toEqual(frames);
  });

  it.each([
    ["short", [1514]],
    ["long", [65_534, LONGEST_FRAME]],
    ["mixed", [60, 65_534, 1514, 9014, 30_000, 14]],
  ])("%s ones that a client is slow to read are whole: accepted or refused", (_, lengths) => {
    native.setsockopt(fd, Socket.LevelSocket, Socket.SendBuffer, 100_000);
    const accepted: Uint8Array[] = [];
    const arrived: Uint8Array[] = [];
    let refused = 0;
    for (let round = 0; round < 60; round += 1) {
      for (let index = 0; index < 10; index += 1) {
        const frame = frameOf(lengths[index % lengths.length], round + index);
        const result = send(frame);
        if (result >= 0) accepted.push(frame);
        else {
          expect(result).toBe(NONE);
          refused += 1;
        }
      }
      stream.flush(false);
      // Not a divisor of anything: the client stops in the middle of lengths and of frames.
      arrived.push(read(round % 3 === 0 ? 1 : 7919));
      stream.flush(true);
    }
    expect(refused).toBeGreaterThan(0);
    for (let part = read(); part.length > 0; part = read()) {
      arrived.push(part);
      stream.flush(true);
    }
    expect(stream.isBlocked).toBe(false);
    const frames = split(Buffer.concat(arrived));
    expect(frames.length).toBe(accepted.length);
    expect(frames.every((frame, index) => Buffer.compare(frame, accepted[index]) === 0)).toBe(true);
  });

  it("are forgotten with the client", () => {
    native.setsockopt(fd, Socket.LevelSocket, Socket.SendBuffer, 1);
    while (send(frameOf(60_000, 1)) >= 0);
    expect(stream.isBlocked).toBe(true);
    native.close(client);
    client = -1;
    stream.flush(true);
    expect(stream.isBlocked).toBe(false);
  });

  it("that are impossible are refused: they come from a broken stack", () => {
    new Uint32Array(stack.memory, outbox, 4).set([outbox, 0xffff_ffff, outbox, 0xffff_ffff]);
    expect(stream.send(outbox, 2)).toBe(-Errno.EMSGSIZE);
    expect(stream.send(outbox, 0xffff_ffff)).toBe(-Errno.EINVAL);
    new Uint32Array(stack.memory, outbox, 4).set([0xffff_fff0, 60, outbox, 60_000]);
    expect(stream.send(outbox, 2)).toBe(-Errno.EFAULT);
  });
});

it("a new stream goes on where that of a failed stack has stopped, in both directions", () => {
  native.setsockopt(fd, Socket.LevelSocket, Socket.SendBuffer, 1);
  const sent: Uint8Array[] = [];
  for (let index = 0; !stream.isBlocked; index += 1) {
    const frame = frameOf(60_000 + index, index);
    if (send(frame) >= 0) sent.push(frame);
  }
  const frames = [100, 200].map(frameOf);
  const [one, two] = frames.map((frame) => framed(frame));
  write(joined([one, two.subarray(0, 50)]));
  expect(stream.next(inbox)).toBe(100);
  stream = new FrameStream({ stack, memory, fd, drops }, stream.rest());
  expect(stream.isBlocked).toBe(true);
  write(two.subarray(50));
  expect(received().frames).toEqual([frames[1]]);
  const arrived: Uint8Array[] = [];
  for (let part = read(); part.length > 0; part = read()) {
    arrived.push(part);
    stream.flush(true);
  }
  expect(split(Buffer.concat(arrived)).map(({ length }) => length)).toEqual(
    sent.map(({ length }) => length),
  );
});
