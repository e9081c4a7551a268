/** A packet of a capture file. */
export interface CapturedPacket {
  /** µs since 1970 */
  readonly time: number;
  readonly flags: number;
  readonly frame: Uint8Array;
  readonly comments: readonly string[];
}

export interface CaptureContents {
  readonly interfaceName: string;
  readonly packets: readonly CapturedPacket[];
}

/** Reads a capture (pcapng, little endian) of one interface; throws where its lengths disagree. */
export function readPcapng(file: Buffer): CaptureContents {
  let interfaceName = "";
  const packets: CapturedPacket[] = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32LE(at + 4);
    const block = file.subarray(at, at + length);
    if (length % 4 !== 0 || block.readUInt32LE(length - 4) !== length) {
      throw new Error(`a block of ${length} bytes at ${at} does not end as it begins`);
    }
    const type = block.readUInt32LE(0);
    if (type === 1) interfaceName = `${optionsIn(block, 16).find(({ code }) => code === 2)?.value}`;
    if (type === 6) packets.push(packetIn(block));
    at += length;
  }
  return { interfaceName, packets };
}

function packetIn(block: Buffer): CapturedPacket {
  const length = block.readUInt32LE(20);
  if (block.readUInt32LE(24) !== length) throw new Error("a packet that was cut");
  const options = optionsIn(block, 28 + length + (-length & 3));
  return {
    time: block.readUInt32LE(12) * 2 ** 32 + block.readUInt32LE(16),
    flags: options.find(({ code }) => code === 2)?.value.readUInt32LE(0) ?? 0,
    frame: Uint8Array.from(block.subarray(28, 28 + length)),
    comments: options.filter(({ code }) => code === 1).map(({ value }) => value.toString()),
  };
}

function optionsIn(block: Buffer, offset: number): { code: number; value: Buffer }[] {
  const options: { code: number; value: Buffer }[] = [];
  for (let at = offset; block.readUInt16LE(at) !== 0; ) {
    const length = block.readUInt16LE(at + 2);
    options.push({
      code: block.readUInt16LE(at),
      value: block.subarray(at + 4, at + 4 + length),
    });
    at += 4 + length + (-length & 3);
  }
  return options;
}
