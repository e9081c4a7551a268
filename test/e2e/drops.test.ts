import { join } from "node:path";
import { httpName, served } from "../lab/addresses.ts";
import { isSlipway } from "../lab/product.ts";
import { type Changes, EtherType, ethernet, inject, ipv4, ipv6, summed } from "../lab/raw.ts";
import { finalFigures } from "../lab/statistics.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Every way in which a single frame can be dropped is counted and marked in the capture, in both
// families; drops that take several frames are tested with their subject.
const test = base.runIf(isSlipway);

const Protocol = { Tcp: 6, Udp: 17, Sctp: 132, 4: 1, 6: 58 } as const;
const GUEST = { 4: "10.0.2.100", 6: "fd00::64" } as const;
const GATEWAY = { 4: "10.0.2.2", 6: "fd00::2" } as const;
const DNS = { 4: "10.0.2.3", 6: "fd00::3" } as const;
const NOBODY = { 4: "10.0.2.77", 6: "fd00::77" } as const;
const WORLD = { 4: served.services, 6: served.services6 } as const;
const GROUP = { 4: "224.0.0.251", 6: "ff02::fb" } as const;
const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;

type Family = 4 | 6;

interface Packet {
  readonly to?: string;
  readonly from?: string;
  readonly protocol?: number;
  readonly payload?: Uint8Array;
  readonly changes?: Changes;
  readonly options?: Uint8Array;
}

function frameOf(family: Family, packet: Packet = {}): Buffer {
  const { to = WORLD[family], from = GUEST[family], protocol = Protocol.Udp } = packet;
  const { payload = udp(family, to), changes, options } = packet;
  return family === 4
    ? ethernet(EtherType.Ipv4, ipv4(from, to, protocol, payload, changes, options))
    : ethernet(EtherType.Ipv6, ipv6(from, to, protocol, payload, changes));
}

/** A datagram of 8 bytes, with its checksum. */
function udp(
  family: Family,
  destination: string,
  port = 9,
  data: Uint8Array = Buffer.alloc(8),
): Buffer {
  const header = Buffer.from([0x40, 0, port >> 8, port & 255, 0, 8 + data.length, 0, 0]);
  return summed(Buffer.concat([header, data]), 6, {
    source: GUEST[family],
    destination,
    protocol: Protocol.Udp,
  });
}

function tcp(family: Family, dataOffset: number): Buffer {
  const header = Buffer.from([
    0x40,
    0,
    0,
    80,
    0,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    dataOffset << 4,
    2,
    4,
    0,
    0,
    0,
    0,
    0,
  ]);
  const ends = { source: GUEST[family], destination: WORLD[family], protocol: Protocol.Tcp };
  return summed(header, 16, ends);
}

/** An ICMP message; of ICMPv6 with its pseudo-header's sum. */
function icmp(
  family: Family,
  type: number,
  rest: Uint8Array = Buffer.alloc(4),
  to: string = WORLD[family],
): Buffer {
  const message = Buffer.concat([Buffer.of(type, 0, 0, 0), rest]);
  if (family === 4) return message;
  return summed(message, 2, { source: GUEST[6], destination: to, protocol: Protocol[6] });
}

function spoilt(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] ^= 0x55;
  return copy;
}

const echo = { 4: 8, 6: 128 } as const;
/** An IPv6 fragment header: of UDP, at an offset in bytes. */
const fragment = (offset: number, more: boolean) =>
  Buffer.from([Protocol.Udp, 0, offset >> 8, (offset & 0xf8) | (more ? 1 : 0), 0, 0, 0, 7]);
const fragmentField = (offset: number, more: boolean) => ({
  6: ((more ? 0x2000 : 0) | (offset / 8)) >> 8,
  7: (offset / 8) & 255,
});
const nextHeader = 44;

/** Cases that only one family has. */
const own = {
  4: {
    "arp-malformed": ethernet(EtherType.Arp, Buffer.alloc(28)),
    "arp-not-for-us": ethernet(
      EtherType.Arp,
      Buffer.from("00010800060400010200000001000a0002640000000000000a00024d", "hex"),
    ),
    "ip-bad-header-length": frameOf(4, { changes: { 0: 0x44 } }),
    "ip-bad-length": frameOf(4, { changes: { 2: 0, 3: 19 } }),
    "ip-bad-checksum": frameOf(4, { changes: { 10: 0, 11: 0 } }),
    "ip-bad-option": frameOf(4, { options: Buffer.of(7, 90, 4, 0) }),
    "ip-source-route": frameOf(4, { options: Buffer.of(131, 7, 4, 1, 2, 3, 4, 0) }),
    "ip-bad-fragment": frameOf(4, { changes: { 6: 0x20, 7: 0 }, payload: Buffer.alloc(9) }),
    "dhcp-malformed": frameOf(4, { to: GATEWAY[4], payload: udp(4, GATEWAY[4], 67) }),
    "icmp-bad-checksum": frameOf(4, { protocol: 1, payload: icmp(4, echo[4]) }),
  },
  6: {
    "ip-extension-limit": frameOf(6, {
      protocol: 60,
      payload: Buffer.concat(Array.from({ length: 40 }, () => Buffer.of(60, 0, 1, 4, 0, 0, 0, 0))),
    }),
    "ip-bad-extension": frameOf(6, { protocol: 60, payload: Buffer.of(17, 9, 0, 0, 0, 0, 0, 0) }),
    "ip-bad-option": frameOf(6, { protocol: 60, payload: Buffer.of(17, 0, 0x80, 4, 0, 0, 0, 0) }),
    "ip-source-route": frameOf(6, { protocol: 43, payload: Buffer.of(17, 0, 0, 1, 0, 0, 0, 0) }),
    "ip-bad-fragment": frameOf(6, {
      protocol: nextHeader,
      payload: Buffer.concat([fragment(0, true), Buffer.alloc(9)]),
    }),
    "ndp-malformed": frameOf(6, {
      to: GATEWAY[6],
      protocol: 58,
      changes: { 7: 255 },
      payload: icmp(6, 135, Buffer.alloc(4), GATEWAY[6]),
    }),
    "ndp-not-for-us": frameOf(6, {
      to: GATEWAY[6],
      protocol: 58,
      changes: { 7: 255 },
      payload: icmp(6, 137, Buffer.alloc(36), GATEWAY[6]),
    }),
    "dhcp-malformed": frameOf(6, {
      to: "ff02::1:2",
      payload: udp(6, "ff02::1:2", 547, Buffer.alloc(2)),
    }),
    "icmp-bad-checksum": frameOf(6, { protocol: 58, payload: spoilt(icmp(6, echo[6]), 2) }),
  },
} as const;

/** Cases of both families. */
function common(family: Family): Record<string, Buffer> {
  const plain = frameOf(family);
  const query = icmp(family, family === 4 ? 13 : 139);
  return {
    "ethernet-bad-source": ethernet(EtherType.Ipv4, plain.subarray(14), { 6: 3 }),
    "ethernet-vlan": ethernet(EtherType.Vlan, plain.subarray(14)),
    "ethernet-unknown-type": ethernet(0x88b5, plain.subarray(14)),
    "ip-truncated": plain.subarray(0, plain.length - 1),
    "ip-bad-version": spoilt(plain, 14),
    "ip-bad-source": frameOf(family, { from: GROUP[family] }),
    "ip-bad-destination": frameOf(family, { to: LOOPBACK[family] }),
    "ip-unknown-protocol": frameOf(family, { protocol: Protocol.Sctp }),
    "ip-hop-limit": frameOf(family, { changes: { [family === 4 ? 8 : 7]: 1 } }),
    "udp-truncated": frameOf(family, { payload: Buffer.alloc(7) }),
    "udp-bad-length": frameOf(family, { payload: Buffer.of(1, 1, 1, 1, 0, 90, 0, 0) }),
    "udp-bad-checksum": spoilt(plain, plain.length - 1),
    "udp-bad-port": frameOf(family, { payload: udp(family, WORLD[family], 0) }),
    "icmp-truncated": frameOf(family, {
      protocol: Protocol[family],
      payload: Buffer.of(echo[family]),
    }),
    "icmp-unsupported": frameOf(family, { protocol: Protocol[family], payload: query }),
    "tcp-bad-header": frameOf(family, { protocol: Protocol.Tcp, payload: tcp(family, 4) }),
    "tcp-bad-checksum": frameOf(family, {
      protocol: Protocol.Tcp,
      payload: spoilt(tcp(family, 5), 16),
    }),
    "dns-malformed": frameOf(family, { to: DNS[family], payload: udp(family, DNS[family], 53) }),
    "policy-host-loopback": frameOf(family, { to: GATEWAY[family] }),
    "policy-denied": frameOf(family, { to: NOBODY[family] }),
    "policy-multicast": frameOf(family, { to: GROUP[family] }),
  };
}

describe.for([4, 6] as const)("IPv%i", (family) => {
  test("each reason counts once, and the capture has it at its frame", async ({ lab }) => {
    const file = join(lab.directory, `drops${family}.pcapng`);
    const options = ["--stats", `--pcap=${file}`];
    await using guest = await lab.guest({ ipv6: true, hostLoopback: false, options });
    const frames = { ...common(family), ...own[family] };
    await inject(guest.namespace, Object.values(frames));
    await guest.run(["ping", "-c", "1", "-W", "5", GATEWAY[4]]);
    const figures = await finalFigures(guest);
    const tshark = ["tshark", "-n", "-r", file, "-Y", "eth.src[1:4] == 00:00:00:01"];
    const marked = await lab.host.root.output([...tshark, "-T", "fields", "-e", "frame.comment"]);
    const names = Object.keys(frames);
    expect(marked.trimEnd().split("\n")).toEqual(names.map((name) => `dropped: ${name}`));
    const counts = names.map((name) => [name, figures.get(`dropped ${name}`) ?? 0] as const);
    expect(counts.filter(([, count]) => count === 0)).toEqual([]);
  });

  test("overlapping fragments are dropped", async ({ lab }) => {
    await using guest = await lab.guest({ ipv6: true, options: ["--stats"] });
    const parts = [fragmentAt(0, 16), fragmentAt(8, 16)];
    await inject(guest.namespace, parts);
    await guest.run(["ping", "-c", "1", "-W", "5", GATEWAY[4]]);
    expect((await finalFigures(guest)).get("dropped ip-fragment-overlap")).toBeGreaterThan(0);
  });

  test("TCP behind options or extension headers, or in fragments, still works as TCP", async ({
    lab,
  }) => {
    await using guest = await lab.guest({ ipv6: true, options: ["--stats"] });
    await using listener = await lab.world.agent.listen(WORLD[family]);
    const { port } = listener.endpoint;
    for (const [index, wrap] of [behindOptions, inFragments].entries()) {
      const syn = Buffer.from(tcp(family, 5));
      syn.writeUInt16BE(0x5000 + index, 0);
      syn.writeUInt16BE(port, 2);
      syn.writeUInt16BE(0, 16);
      const ends = { source: GUEST[family], destination: WORLD[family], protocol: Protocol.Tcp };
      await inject(guest.namespace, wrap(summed(syn, 16, ends)));
      // Slipway connects before it answers the guest, whose kernel knows nothing of the SYN.
      await using _accepted = await listener.accept();
    }
    expect((await finalFigures(guest)).get("dropped ip-unknown-protocol")).toBeUndefined();
  });

  function fragmentAt(offset: number, length: number): Buffer {
    const payload = Buffer.alloc(length, 1);
    if (family === 4) return frameOf(4, { changes: fragmentField(offset, true), payload });
    const whole = Buffer.concat([fragment(offset, true), payload]);
    return frameOf(6, { protocol: nextHeader, payload: whole });
  }

  function behindOptions(syn: Buffer): Buffer[] {
    if (family === 4) {
      const options = Buffer.of(1, 1, 1, 1, 1, 1, 1, 0);
      return [frameOf(4, { protocol: Protocol.Tcp, payload: syn, options })];
    }
    const header = Buffer.of(Protocol.Tcp, 0, 1, 4, 0, 0, 0, 0);
    return [frameOf(6, { protocol: 60, payload: Buffer.concat([header, syn]) })];
  }

  function inFragments(syn: Buffer): Buffer[] {
    const parts = [
      { at: 0, bytes: syn.subarray(0, 8), more: true },
      { at: 8, bytes: syn.subarray(8), more: false },
    ];
    return parts.map(({ at, bytes, more }) => {
      if (family === 4) {
        return frameOf(4, {
          protocol: Protocol.Tcp,
          changes: fragmentField(at, more),
          payload: bytes,
        });
      }
      const header = fragment(at, more);
      header[0] = Protocol.Tcp;
      return frameOf(6, { protocol: nextHeader, payload: Buffer.concat([header, bytes]) });
    });
  }
});

test("packets that the host refuses are counted", async ({ lab }) => {
  await using guest = await lab.guest({ options: ["--stats", "--udp-filtering=address"] });
  const [asked, stranger] = [
    await lab.world.agent.udp(served.services),
    await lab.world.agent.udp(served.http),
  ];
  const client = await (await guest.agent()).udp("0.0.0.0");
  await client.send({ address: "192.0.2.1", port: 9 }, "to where the host has no route");
  await client.send(asked.endpoint, "hello");
  const { from } = await asked.receive();
  await stranger.send(from, "unasked");
  await asked.send(from, "asked");
  expect(await client.receive()).toMatchObject({ text: "asked" });
  await guest.namespace.output(["dig", "+short", "@10.0.2.3", httpName]);
  const figures = await finalFigures(guest);
  expect(figures.get("dropped host-refused")).toBe(1);
  expect(figures.get("dropped policy-filtered")).toBe(1);
});
