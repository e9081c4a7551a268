import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { NEVER } from "../../src/base/clock.js";
import { DEFAULT_TIMEOUTS } from "../../src/config/guest-config.js";
import { Mapping, MappingTable } from "../../src/datagram/mapping.js";
import { UdpProtocol } from "../../src/datagram/udp.js";
import { Frame } from "../../src/wire/frame.js";
import { COPIED_OPEN } from "../nat/plans.js";
import { config } from "../services/frames.js";

const guest = Address.parse("10.0.2.100") as Address;
const server = Address.parse("203.0.113.1") as Address;
const other = Address.parse("203.0.113.2") as Address;
const gateway = Address.parse("10.0.2.2") as Address;
const loopback = Address.parse("127.0.0.1") as Address;

describe("mappings", () => {
  const udp = new UdpProtocol(false, DEFAULT_TIMEOUTS);
  let table: MappingTable;

  beforeEach(() => {
    table = new MappingTable();
  });
  afterEach(() => table.close());

  function frameFrom(port: number): Frame {
    const frame = new Frame(new Uint8Array(0));
    frame.source = guest;
    frame.sourcePort = port;
    return frame;
  }

  function open(
    port: number,
    to: number,
    now: number,
    isFiltered = false,
    as: Address | null = null,
  ): Mapping {
    const mapping = new Mapping({
      fd: udp.open(4, port, null),
      protocol: udp,
      guest,
      guestPort: port,
      mac: 0,
      route: { to: server, as },
      session: null,
      isFiltered,
      since: now,
    });
    mapping.contact(server, to);
    table.add(table.ids.take(), mapping);
    return mapping;
  }

  /** Ends what has expired by then. @returns when the table needs its next check */
  function nextAfter(now: number): number {
    table.expire(now);
    return table.nextAt;
  }

  it("are found by the guest's endpoint, whatever its destination", () => {
    const mapping = open(4000, 80, 0);
    open(4001, 80, 0);
    expect(table.find(frameFrom(4000), udp, null)).toBe(mapping);
    expect(table.find(frameFrom(4002), udp, null)).toBeNull();
    expect(table.find(frameFrom(4000), udp, other)).toBeNull();
  });

  it("end 10 s after a DNS query, 30 s without an answer, 180 s after the last datagram", () => {
    open(4000, 53, 0);
    open(4001, 80, 0);
    open(4002, 80, 0).answered = true;
    expect(nextAfter(9_999)).toBe(10_000);
    expect(table.count).toBe(3);
    expect(nextAfter(10_000)).toBe(30_000);
    expect(table.count).toBe(2);
    expect(nextAfter(30_000)).toBe(180_000);
    expect(table.count).toBe(1);
    expect(nextAfter(180_000)).toBe(NEVER);
    expect(table.count).toBe(0);
  });

  it("last as long as others if the port sent to more than DNS", () => {
    open(4000, 53, 0).contact(server, 443);
    expect(nextAfter(10_000)).toBe(30_000);
  });

  it("idle for longest make room", () => {
    const [first, second] = [open(4000, 80, 2), open(4001, 80, 3)];
    table.touch(first, 9);
    expect(table.endOldest()).toBe(true);
    expect(table.find(frameFrom(4001), udp, null)).toBeNull();
    expect(table.find(frameFrom(4000), udp, null)).toBe(first);
    expect(second.lastUsed).toBe(3);
    expect(table.endOldest()).toBe(true);
    expect(table.endOldest()).toBe(false);
  });

  it("differ by the guest's address, however many use one port", () => {
    const mine = open(4000, 80, 0);
    const frame = frameFrom(4000);
    frame.source = other;
    expect(table.find(frame, udp, null)).toBeNull();
    frame.source = guest;
    expect(table.find(frame, udp, null)).toBe(mine);
  });

  it("do not reuse an id before reap, as events of it may be pending", () => {
    open(4000, 80, 0);
    table.endOldest();
    expect(table.ids.take()).toBe(1);
    table.reap();
    expect(table.ids.take()).toBe(0);
  });

  it("let a peer appear as itself, or as the address that the guest sent to", () => {
    const direct = open(4000, 80, 0);
    expect(direct.appearanceOf(config(), other)).toBe(other);
    expect(direct.appearanceOf(config(), loopback)).toBeNull();
    const translated = open(4001, 80, 0, false, gateway);
    expect(translated.appearanceOf(config(), server)).toBe(gateway);
    expect(translated.appearanceOf(config(), other)).toBeNull();
    expect(open(4002, 80, 0, true).appearanceOf(config(), other)).toBeNull();
  });

  it("let the host at an address that the guest has, too, appear elsewhere", () => {
    const copied = config({ plans: COPIED_OPEN });
    const [{ guest: shadowed }] = COPIED_OPEN;
    expect(`${open(4000, 80, 0).appearanceOf(copied, shadowed)}`).toBe("169.254.1.2");
    expect(open(4001, 80, 0).appearanceOf(copied, other)).toBe(other);
  });

  it("admit anybody, or only peers that the guest has sent to", () => {
    expect(open(4000, 80, 0).admits(other)).toBe(true);
    const filtered = open(4001, 80, 0, true);
    expect(filtered.admits(server)).toBe(true);
    expect(filtered.admits(other)).toBe(false);
    filtered.contact(other, 80);
    expect(filtered.admits(other)).toBe(true);
    expect(filtered.admits(server)).toBe(true);
  });
});
