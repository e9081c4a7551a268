/**
 * pcapng, the format of capture files (draft-ietf-opsawg-pcapng): one section, one interface, one
 * block for each packet. In the machine's byte order, as the format has it; every machine we run on
 * is little endian.
 */

const BlockType = { Section: 0x0a0d_0d0a, Interface: 1, Packet: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;
const VERSION_MAJOR = 1;
/** The section's length is not told: it ends with the file. */
const UNKNOWN_LENGTH = 0xffff_ffff;

const Option = {
  End: 0,
  Comment: 1,
  PacketFlags: 2,
  SectionApplication: 4,
  InterfaceName: 2,
  InterfaceDescription: 3,
  InterfaceTimeResolution: 9,
} as const;

/** LINKTYPE_ETHERNET of tcpdump.org's list. */
const ETHERNET = 1;
/** The most that Wireshark takes as a packet; ours are smaller. */
const SNAP_LENGTH = 262_144;
/** Of if_tsresol: the negated power of ten. */
const MICROSECONDS = 6;

/** Bits of a packet's flags (§4.3.1). */
export const PacketFlag = {
  Inbound: 1,
  Outbound: 2,
  SegmentationOffloaded: 1 << 11,
} as const;

/** Of a packet block, before the packet. */
export const PACKET_HEADER_LENGTH = 28;

const WORD = 4;
const OPTION_HEADER = 4;
const BLOCK_FRAME = 12;
const SECTION_BODY = 16;
const INTERFACE_BODY = 8;

const encoder = new TextEncoder();

/** What a capture of one Ethernet interface starts with. */
export interface CaptureStart {
  /** The program that writes it. */
  readonly application: string;
  readonly interfaceName: string;
  readonly interfaceDescription: string;
}

/** The blocks before the first packet. */
export function composeCaptureStart(start: CaptureStart): Uint8Array {
  const section = composeBlock(
    BlockType.Section,
    [BYTE_ORDER_MAGIC, VERSION_MAJOR, UNKNOWN_LENGTH, UNKNOWN_LENGTH],
    SECTION_BODY,
    [[Option.SectionApplication, encoder.encode(start.application)]],
  );
  const link = composeBlock(BlockType.Interface, [ETHERNET, SNAP_LENGTH], INTERFACE_BODY, [
    [Option.InterfaceName, encoder.encode(start.interfaceName)],
    [Option.InterfaceDescription, encoder.encode(start.interfaceDescription)],
    [Option.InterfaceTimeResolution, Uint8Array.of(MICROSECONDS)],
  ]);
  const all = new Uint8Array(section.length + link.length);
  all.set(section);
  all.set(link, section.length);
  return all;
}

/** How long a packet's block is behind the packet. */
export function packetTrailerLength(length: number, comments: readonly Uint8Array[]): number {
  const flags = optionLength(WORD);
  const texts = comments.reduce((sum, comment) => sum + optionLength(comment.length), 0);
  return padding(length) + flags + texts + OPTION_HEADER + WORD;
}

/**
 * Writes what stands before a packet in its block.
 * @param time of the packet, µs since 1970
 * @param length of the packet, all of which is in the block
 * @param trailer what packetTrailerLength says
 */
export function emitPacketHeader(
  view: DataView,
  offset: number,
  time: number,
  length: number,
  trailer: number,
): void {
  view.setUint32(offset, BlockType.Packet, true);
  view.setUint32(offset + 4, PACKET_HEADER_LENGTH + length + trailer, true);
  view.setUint32(offset + 8, 0, true);
  view.setUint32(offset + 12, Math.floor(time / 0x1_0000_0000), true);
  view.setUint32(offset + 16, time % 0x1_0000_0000, true);
  view.setUint32(offset + 20, length, true);
  view.setUint32(offset + 24, length, true);
}

/**
 * Writes what stands behind a packet in its block, and returns its length.
 * @param flags of PacketFlag
 * @param comments in UTF-8
 */
export function emitPacketTrailer(
  view: DataView,
  offset: number,
  length: number,
  flags: number,
  comments: readonly Uint8Array[],
): number {
  const trailer = packetTrailerLength(length, comments);
  let at = offset;
  for (const end = at + padding(length); at < end; at += 1) view.setUint8(at, 0);
  for (const comment of comments) at += emitOption(view, at, Option.Comment, comment);
  view.setUint16(at, Option.PacketFlags, true);
  view.setUint16(at + 2, WORD, true);
  view.setUint32(at + OPTION_HEADER, flags, true);
  at += optionLength(WORD);
  view.setUint32(at, Option.End, true);
  view.setUint32(at + OPTION_HEADER, PACKET_HEADER_LENGTH + length + trailer, true);
  return trailer;
}

function composeBlock(
  type: number,
  words: readonly number[],
  bodyLength: number,
  options: readonly (readonly [code: number, value: Uint8Array])[],
): Uint8Array {
  const optionsLength = options.reduce((sum, [, value]) => sum + optionLength(value.length), 0);
  const length = BLOCK_FRAME + bodyLength + optionsLength + OPTION_HEADER;
  const block = new Uint8Array(length);
  const view = new DataView(block.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  words.forEach((word, index) => {
    view.setUint32(8 + WORD * index, word, true);
  });
  let at = 8 + bodyLength;
  for (const [code, value] of options) at += emitOption(view, at, code, value);
  view.setUint32(length - WORD, length, true);
  return block;
}

function emitOption(view: DataView, offset: number, code: number, value: Uint8Array): number {
  view.setUint16(offset, code, true);
  view.setUint16(offset + 2, value.length, true);
  const length = optionLength(value.length);
  for (let at = 0; at < length - OPTION_HEADER; at += 1) {
    view.setUint8(offset + OPTION_HEADER + at, value[at] ?? 0);
  }
  return length;
}

function optionLength(length: number): number {
  return OPTION_HEADER + length + padding(length);
}

/** Everything is padded to 32 bits. */
function padding(length: number): number {
  return -length & (WORD - 1);
}
