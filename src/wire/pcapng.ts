/**
 * pcapng, the format of capture files (draft-ietf-opsawg-pcapng): one section, one interface, one
 * block for each packet. The format allows either byte order; we write little-endian, that of all
 * supported machines.
 */

const BlockType = { Section: 0x0a0d_0d0a, Interface: 1, Packet: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;
const VERSION_MAJOR = 1;
/** Section length "not specified": the section ends with the file. */
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
/** Longest packet that Wireshark accepts, in bytes; ours are shorter. */
const SNAP_LENGTH = 262_144;
/** if_tsresol: 10 to the power of -6 seconds. */
const MICROSECONDS = 6;

/** Bits of a packet's flags (§4.3.1). */
export const PacketFlag = {
  Inbound: 1,
  Outbound: 2,
  SegmentationOffloaded: 1 << 11,
} as const;

/** Bytes of a packet block before the packet. */
export const PACKET_HEADER_LENGTH = 28;

const WORD = 4;
const OPTION_HEADER = 4;
const BLOCK_FRAME = 12;
const SECTION_BODY = 16;
const INTERFACE_BODY = 8;

const encoder = new TextEncoder();

/** The properties at the start of a capture of one Ethernet interface. */
export interface CaptureStart {
  /** The program that writes it. */
  readonly application: string;
  readonly interfaceName: string;
  readonly interfaceDescription: string;
}

/** Composes the blocks before the first packet. */
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

/** Bytes of a packet block after the packet. */
export function packetTrailerLength(length: number, comments: readonly Uint8Array[]): number {
  const flags = optionLength(WORD);
  const texts = comments.reduce((sum, comment) => sum + optionLength(comment.length), 0);
  return padding(length) + flags + texts + OPTION_HEADER + WORD;
}

/**
 * Writes the part of a packet block before the packet.
 * @param time of the packet, µs since 1970
 * @param length of the packet in bytes; none of it is cut
 * @param trailer the result of packetTrailerLength
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
 * Writes the part of a packet block after the packet, and returns its length.
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

/** All fields are padded to 32 bits. */
function padding(length: number): number {
  return -length & (WORD - 1);
}
