/**
 * node test/fuzz/to-pcap.ts INPUT… >frames.pcap: the frames that an input of the fuzzer makes, in
 * both directions, as the stack in WASM sees and sends them. --plain: without a virtio header.
 * Inputs follow one another, a second apart.
 */
import { readFileSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { replay } from "./replay.ts";

const STDOUT = 1;
const SNAP_LENGTH = 262_144;
/** Microseconds between frames: only their order is known. */
const STEP = 10;

/** Classic pcap, little-endian, Ethernet: draft-ietf-opsawg-pcap §4. */
function fileHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(SNAP_LENGTH, 16);
  header.writeUInt32LE(1, 20);
  return header;
}

function recordHeader(microseconds: number, length: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(Math.floor(microseconds / 1e6), 0);
  header.writeUInt32LE(microseconds % 1e6, 4);
  header.writeUInt32LE(length, 8);
  header.writeUInt32LE(length, 12);
  return header;
}

const { values, positionals } = parseArgs({
  options: { plain: { type: "boolean", default: false } },
  allowPositionals: true,
});
writeSync(STDOUT, fileHeader());
for (const [index, file] of positionals.entries()) {
  let now = index * 1e6;
  replay(readFileSync(file), !values.plain, (frame) => {
    writeSync(STDOUT, recordHeader(now, frame.length));
    writeSync(STDOUT, frame);
    now += STEP;
  });
}
