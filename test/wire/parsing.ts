import type { DropReason } from "../../src/base/drop.js";
import { dropReasonName } from "../../src/base/drop.js";
import { createAddressCaches, Frame, parseFrame } from "../../src/wire/frame.js";

/** Parses a whole array as one frame; the reason of a drop by its name, or "ok". */
export function parse(bytes: Uint8Array): { frame: Frame; result: string } {
  const frame = new Frame(bytes);
  const reason = parseFrame(frame, 0, bytes.length, createAddressCaches());
  return { frame, result: reason === 0 ? "ok" : dropReasonName(reason satisfies DropReason) };
}

/** Parses input that must be valid. */
export function parseOk(bytes: Uint8Array): Frame {
  const { frame, result } = parse(bytes);
  if (result !== "ok") throw new Error(`dropped: ${result}`);
  return frame;
}

/** A copy with some bytes replaced, by their offsets. */
export function patched(bytes: Uint8Array, patches: Readonly<Record<number, number>>): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (const [offset, value] of Object.entries(patches)) copy[Number(offset)] = value;
  return copy;
}

/** Bytes that throw when something outside `start..end` is read. */
export function guarded(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      const index = Number(key);
      if (!Number.isInteger(index)) throw new Error(`used ${String(key)} of the bytes`);
      if (index < start || index >= end) throw new Error(`read ${index}, outside ${start}..${end}`);
      return target[index];
    },
  });
}
