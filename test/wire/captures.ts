import { readPcap } from "./pcap.js";

/** The frames of captures/linux.pcap; captures/record.sh shows how they were made. */
export const LINUX = readPcap(new URL("captures/linux.pcap", import.meta.url));

/** A frame of captures/linux.pcap by the number that Wireshark shows. */
export function linuxFrame(number: number): Uint8Array {
  const frame = LINUX[number - 1];
  if (frame === undefined) throw new Error(`linux.pcap has no frame ${number}`);
  return frame;
}
