/** Reads 16 bits in network byte order. The caller checks bounds. */
export function readU16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] << 8) | bytes[offset + 1];
}

/** Writes the low 16 bits of `value` in network byte order. */
export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

/** Reads 32 bits in network byte order, unsigned. The caller checks bounds. */
export function readU32(bytes: Uint8Array, offset: number): number {
  return readU16(bytes, offset) * 0x1_0000 + readU16(bytes, offset + 2);
}

/** Writes 32 bits in network byte order. */
export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  writeU16(bytes, offset, value >>> 16);
  writeU16(bytes, offset + 2, value);
}

/** Reads 32 bits in little-endian order, unsigned. The caller checks bounds. */
export function readU32le(bytes: Uint8Array, offset: number): number {
  const low = bytes[offset] | (bytes[offset + 1] << 8);
  return (low | (bytes[offset + 2] << 16) | (bytes[offset + 3] << 24)) >>> 0;
}

/** Writes the low 32 bits of `value`, 0..2^53-1, in little-endian order. */
export function writeU32le(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}
