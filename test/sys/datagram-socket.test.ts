import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { Errno, Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import {
  ERROR_CONTROL_SPACE,
  emitSegmentSize,
  parseQueuedError,
  parseReceivedControl,
  RECEIVED_CONTROL_SPACE,
} from "../../src/sys/sockets/control-data.js";
import {
  openDatagramSocket,
  receiveOffloaded,
  setDontFragment,
  setHopLimit,
  setTrafficClass,
} from "../../src/sys/sockets/datagram-socket.js";
import { MessageTable, messageTableSize } from "../../src/sys/sockets/message-table.js";
import { sockaddrPort, writeSockaddr } from "../../src/sys/sockets/sockaddr.js";
import { bindSocket, connectSocket, localAddress } from "../../src/sys/sockets/socket.js";

const loopback = { 4: "127.0.0.1", 6: "::1" } as const;
const PAYLOAD = 16_384;
const CONTROL = Math.max(RECEIVED_CONTROL_SPACE, ERROR_CONTROL_SPACE);
const layout = { messages: 2, pieces: 2, control: CONTROL };

/** What the kernel of this machine really says: on the loopback of this network namespace. */
describe.each([4, 6] as const)("a datagram socket of IPv%i", (family) => {
  const bytes = new Uint8Array(new ArrayBuffer(256 * 1024));
  const address = Address.parse(loopback[family]) as Address;
  let memory: number;
  let table: MessageTable;
  let sender: number;
  let receiver: number;
  let port: number;

  beforeEach(() => {
    memory = native.registerMemory(bytes.buffer);
    table = new MessageTable(bytes.buffer, memory, 0, layout);
    expect(messageTableSize(layout)).toBeLessThan(PAYLOAD);
    sender = openDatagramSocket(family, 0);
    receiver = openDatagramSocket(family, 0);
    expect(bindSocket(receiver, address, 0)).toBe(0);
    port = localAddress(receiver)?.port ?? 0;
  });
  afterEach(() => {
    for (const fd of [sender, receiver]) native.close(fd);
    native.unregisterMemory(memory);
  });

  function send(length: number, segmentSize = 0, to = port): number {
    const nameLength = writeSockaddr(bytes, table.nameAt(0), address, to);
    table.setPiece(0, PAYLOAD, length);
    table.describe(0, nameLength, 0, 1);
    if (segmentSize > 0) {
      table.setControlLength(0, emitSegmentSize(bytes, table.controlAt(0), segmentSize));
    }
    return table.send(sender, 0, 1);
  }

  function receive(): {
    length: number;
    segmentSize: number;
    trafficClass: number;
    hopLimit: number;
  } {
    table.setPiece(0, PAYLOAD, 65_536);
    expect(table.receive(receiver, 1, 0)).toBe(1);
    const control = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
    parseReceivedControl(bytes, table.controlAt(0), table.controlLength(0), control);
    return { length: table.length(0), ...control };
  }

  function nextError(): ReturnType<typeof parseQueuedError> {
    table.setPiece(0, PAYLOAD, 2048);
    expect(table.receive(sender, 1, Socket.ErrorQueue)).toBe(1);
    return parseQueuedError(bytes, table.controlAt(0), table.controlLength(0));
  }

  it("sends and reports traffic class and hop limit", () => {
    setTrafficClass(sender, family, 0xb9);
    setHopLimit(sender, family, 17);
    expect(send(100)).toBe(1);
    expect(receive()).toEqual({ length: 100, segmentSize: 0, trafficClass: 0xb9, hopLimit: 17 });
  });

  it("sends many datagrams as one, and receives them as one", () => {
    receiveOffloaded(receiver);
    expect(send(1000, 300)).toBe(1);
    expect(receive()).toMatchObject({ length: 1000, segmentSize: 300 });
  });

  it("reports an ICMP error with the datagram and its destination", () => {
    const closed = openDatagramSocket(family, 0);
    bindSocket(closed, address, 0);
    const gone = localAddress(closed)?.port ?? 0;
    native.close(closed);
    bytes.fill(0x5a, PAYLOAD, PAYLOAD + 100);
    expect(send(100, 0, gone)).toBe(1);
    bytes.fill(0, PAYLOAD, PAYLOAD + 100);
    const error = nextError();
    const unreachable = { 4: { type: 3, code: 3 }, 6: { type: 1, code: 4 } } as const;
    expect(error).toMatchObject({ isLocal: false, ...unreachable[family] });
    expect(error?.offender?.equals(address)).toBe(true);
    expect(sockaddrPort(bytes, table.nameAt(0))).toBe(gone);
    expect(table.length(0)).toBe(100);
    expect(bytes.subarray(PAYLOAD, PAYLOAD + 100).every((byte) => byte === 0x5a)).toBe(true);
  });

  it("fails once with a pending error, and sends then", () => {
    expect(connectSocket(sender, address, port)).toBe(0);
    native.close(receiver);
    expect(native.sendmsg(sender, memory, 0, 0, 0)).toBe(0);
    expect(native.sendmsg(sender, memory, 0, 0, 0)).toBe(-Errno.ECONNREFUSED);
    expect(native.sendmsg(sender, memory, 0, 0, 0)).toBe(0);
    receiver = openDatagramSocket(family, 0);
  });

  // No IPv4 packet is longer than the loopback's MTU of 65,536 bytes.
  it.runIf(family === 6)("reports the MTU of the link if it may not fragment", () => {
    setDontFragment(sender, family, true);
    expect(send(65_507)).toBe(-Errno.EMSGSIZE);
    expect(nextError()).toMatchObject({ isLocal: true, mtu: 65_536, offender: null });
    setDontFragment(sender, family, false);
    expect(send(65_507)).toBe(1);
  });
});
