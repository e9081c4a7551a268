import { readFileSync } from "node:fs";

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/** The frames of a capture file (pcap, little endian), in its order. */
export function readPcap(url: URL): Uint8Array[] {
  const file = readFileSync(url);
  const frames: Uint8Array[] = [];
  for (let at = FILE_HEADER; at < file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const start = at + RECORD_HEADER;
    frames.push(Uint8Array.from(file.subarray(start, start + length)));
    at = start + length;
  }
  return frames;
}
