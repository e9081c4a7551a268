import type { HeldNamespace } from "./namespace.ts";

/** Frames built byte by byte, as no kernel would send them. */

export const EtherType = { Ipv4: 0x0800, Arp: 0x0806, Vlan: 0x8100, Ipv6: 0x86dd } as const;

/** Source MAC of a guest's frames; the last byte is the test's. */
const MAC = Buffer.from("020000000100", "hex");
const GATEWAY = Buffer.from("52550a000202", "hex");

export function ethernet(type: number, payload: Uint8Array, changes: Changes = {}): Buffer {
  const frame = Buffer.concat([GATEWAY, MAC, Buffer.of(type >> 8, type & 255), payload]);
  return changed(frame, changes);
}

/** Bytes by their offset. */
export type Changes = Readonly<Record<number, number>>;

/** @param changes made before the checksum is computed, unless they set it */
export function ipv4(
  source: string,
  destination: string,
  protocol: number,
  payload: Uint8Array,
  changes: Changes = {},
  options: Uint8Array = new Uint8Array(),
): Buffer {
  const header = Buffer.alloc(20 + options.length);
  header[0] = 0x40 | (header.length / 4);
  header.writeUInt16BE(header.length + payload.length, 2);
  header.set([64, protocol], 8);
  header.set(addressBytes(source), 12);
  header.set(addressBytes(destination), 16);
  header.set(options, 20);
  changed(header, changes);
  if (!(10 in changes)) header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

export function ipv6(
  source: string,
  destination: string,
  next: number,
  payload: Uint8Array,
  changes: Changes = {},
): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payload.length, 4);
  header.set([next, 64], 6);
  header.set(addressBytes(source), 8);
  header.set(addressBytes(destination), 24);
  return Buffer.concat([changed(header, changes), payload]);
}

/** A transport message, with the checksum (including the pseudo-header) written at an offset. */
export function summed(
  message: Uint8Array,
  at: number,
  pseudo: { readonly source: string; readonly destination: string; readonly protocol: number },
): Buffer {
  const { source, destination, protocol } = pseudo;
  const bytes = Buffer.from(message);
  const tail = Buffer.of(0, protocol, bytes.length >> 8, bytes.length & 255);
  const sum = checksum(
    Buffer.concat([addressBytes(source), addressBytes(destination), tail, bytes]),
  );
  bytes.writeUInt16BE(sum, at);
  return bytes;
}

/** RFC 1071 */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  bytes.forEach((byte, at) => {
    sum += at % 2 ? byte : byte << 8;
  });
  while (sum > 0xffff) sum = (sum >>> 16) + (sum & 0xffff);
  return ~sum & 0xffff;
}

/** Sends frames unchanged and in order from a namespace's TAP, by a packet socket (packet(7)). */
export async function inject(from: HeldNamespace, frames: readonly Uint8Array[]): Promise<void> {
  const script = `
    my ($index) = (\`ip -o link show tap0\` =~ /^(\\d+)/);
    socket(my $s, 17, 3, 0) or die $!;
    my $to = pack("S n i S C C a8", 17, 0, $index, 0, 0, 6, "");
    while (<STDIN>) { chomp; defined(send($s, pack("H*", $_), 0, $to)) or die "$!: $_"; }`;
  const input = frames.map((frame) => `${Buffer.from(frame).toString("hex")}\n`).join("");
  await from.output(["perl", "-e", script], { input });
}

function changed(bytes: Buffer, changes: Changes): Buffer {
  for (const [at, value] of Object.entries(changes)) bytes[Number(at)] = value;
  return bytes;
}

function addressBytes(text: string): Buffer {
  if (!text.includes(":")) return Buffer.from(text.split(".").map(Number));
  const [head = "", tail = ""] = text.split("::");
  const words = (part: string) => (part === "" ? [] : part.split(":"));
  const missing = 8 - words(head).length - words(tail).length;
  const all = [...words(head), ...Array.from({ length: missing }, () => "0"), ...words(tail)];
  return Buffer.from(all.map((word) => word.padStart(4, "0")).join(""), "hex");
}
