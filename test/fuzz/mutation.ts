import fc from "fast-check";
import { addToSum, complement } from "../../src/wire/checksum.js";
import { createAddressCaches, Frame, parseFrame } from "../../src/wire/frame.js";
import { writeIcmpChecksum } from "../../src/wire/icmp.js";
import { writeUdpChecksum } from "../../src/wire/udp.js";

/** A change of a byte string; positions wrap around. */
type Edit =
  | { readonly kind: "put"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "remove"; readonly at: number; readonly count: number }
  | {
      readonly kind: "repeat";
      readonly at: number;
      readonly count: number;
      readonly times: number;
    };

const position = fc.oneof(fc.nat(128), fc.nat(65_535));
const few = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 4 }),
  fc
    .constantFrom([0], [1], [0x7f], [0x80], [0xff], [0, 0], [0xff, 0xff], [0xc0, 0x0c])
    .map((it) => Uint8Array.from(it)),
);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("put" as const), at: position, bytes: few }),
  },
  fc.record({
    kind: fc.constant("insert" as const),
    at: position,
    bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }),
  }),
  fc.record({ kind: fc.constant("remove" as const), at: position, count: fc.nat(200) }),
  fc.record({
    kind: fc.constant("repeat" as const),
    at: position,
    count: fc.nat(64),
    times: fc.nat(40),
  }),
);

const MOST = 66_000;

function apply(bytes: Uint8Array, change: Edit): Uint8Array {
  const at = change.at % (bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (change.kind) {
    case "put":
      return Buffer.concat([head, change.bytes, tail.subarray(change.bytes.length)]);
    case "insert":
      return Buffer.concat([head, change.bytes, tail]);
    case "remove":
      return Buffer.concat([head, tail.subarray(change.count)]);
    case "repeat": {
      const part = tail.subarray(0, change.count);
      const parts = Array.from({ length: change.times }, () => part);
      return Buffer.concat([head, ...parts, tail]).subarray(0, MOST);
    }
  }
}

/** One of the seeds, mutated in some places. */
export function mutated(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc
    .record({ seed: fc.nat(seeds.length - 1), edits: fc.array(edit, { maxLength: 6 }) })
    .map(({ seed, edits }) => Uint8Array.from(edits.reduce(apply, seeds[seed])));
}

/**
 * Corrects lengths and checksums of a frame where possible, so that parsers get
 * beyond them.
 */
export function repaired(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 54) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const type = view.getUint16(12);
  if (type === 0x0800) repairIpv4(bytes, view);
  else if (type === 0x86dd) view.setUint16(18, Math.min(bytes.length - 54, 65_535));
  const frame = new Frame(bytes);
  parseFrame(frame, 0, bytes.length, createAddressCaches());
  const { protocol, transportOffset: at, transportLength: length, source, destination } = frame;
  if (protocol === 17 && length >= 8) {
    view.setUint16(at + 4, length);
    view.setUint16(at + 6, 0);
    writeUdpChecksum(bytes, at, length, source, destination);
  } else if ((protocol === 1 || protocol === 58) && length >= 8) {
    view.setUint16(at + 2, 0);
    writeIcmpChecksum(bytes, at, length, source, destination);
  }
  return bytes;
}

function repairIpv4(bytes: Uint8Array, view: DataView): void {
  const header = (bytes[14] & 15) * 4;
  if (header < 20 || 14 + header > bytes.length) return;
  view.setUint16(16, Math.min(bytes.length - 14, 65_535));
  view.setUint16(24, 0);
  view.setUint16(24, complement(addToSum(0, bytes, 14, header)));
}

/** What a parser did. */
export interface Watch {
  reads: number;
}

const COPIES = new Set(["subarray", "slice"]);

/**
 * Bytes that throw on a read outside `start..end` and count the bytes read. Their copies
 * and views are ordinary ones, of what is inside.
 */
export function watched(bytes: Uint8Array, start: number, end: number, watch: Watch): Uint8Array {
  const part = (from = 0, to = bytes.length) => {
    if (from < start || to > end || from > to)
      throw new Error(`took ${from}..${to} of ${start}..${end}`);
    watch.reads += to - from;
    return bytes.subarray(from, to);
  };
  return new Proxy(bytes, {
    get(target, key) {
      if (typeof key === "string" && COPIES.has(key)) return part;
      if (key === "length") return target.length;
      const index = Number(key);
      if (!Number.isInteger(index)) throw new Error(`used ${String(key)} of the bytes`);
      if (index < start || index >= end) throw new Error(`read ${index}, outside ${start}..${end}`);
      watch.reads += 1;
      return target[index];
    },
  });
}
