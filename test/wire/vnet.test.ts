import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createVnetHeader,
  emitVnet,
  parseVnet,
  VNET_HEADER_LENGTH,
  VnetFlags,
  VnetGso,
} from "../../src/wire/vnet.js";

const u16 = fc.nat(0xffff);

function parsed(bytes: Uint8Array, offset: number) {
  const header = createVnetHeader();
  parseVnet(bytes, offset, header);
  return header;
}

describe("vnet header", () => {
  it("is unchanged after conversion to bytes and back", () => {
    const header = fc.record({
      vnetFlags: fc.nat(7),
      gsoType: fc.constantFrom(...Object.values(VnetGso)),
      headersLength: u16,
      gsoSize: u16,
      checksumStart: u16,
      checksumOffset: u16,
    });
    fc.assert(
      fc.property(header, fc.nat(3), (original, offset) => {
        const bytes = new Uint8Array(offset + VNET_HEADER_LENGTH);
        expect(emitVnet(bytes, offset, original)).toBe(VNET_HEADER_LENGTH);
        expect(parsed(bytes, offset)).toEqual(original);
      }),
    );
  });

  it("is the struct of linux/virtio_net.h, little endian", () => {
    const bytes = new Uint8Array(VNET_HEADER_LENGTH);
    emitVnet(bytes, 0, {
      vnetFlags: VnetFlags.NeedsChecksum,
      gsoType: VnetGso.TcpV6,
      headersLength: 0x0102,
      gsoSize: 0x0304,
      checksumStart: 0x0506,
      checksumOffset: 0x0708,
    });
    expect([...bytes]).toEqual([1, 4, 2, 1, 4, 3, 6, 5, 8, 7]);
  });

  it("reads the type without the ECN bit", () => {
    expect(parsed(Uint8Array.of(0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0), 0).gsoType).toBe(VnetGso.TcpV4);
  });
});
