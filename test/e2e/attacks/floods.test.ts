import { failing, guest6, served } from "../../lab/addresses.ts";
import { attack, expect } from "./assault.ts";
import {
  address,
  arp,
  bytes,
  ethernet,
  flag,
  frame,
  gatewayMac,
  ghost,
  ghost6,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  mac,
  protocol,
  tcp,
  u16,
  u32,
  udp,
  vnet,
  vnetLength,
  zeros,
} from "./frames.ts";

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
const spoofed = (index: number) => `10.0.${(index >> 8) & 255}.${index & 255}`;
const macOf = (index: number) => bytes(0x02, 0, u32(index));
const text = (six: Uint8Array) => Array.from(six, (byte) => byte.toString(16)).join(":");

// First, because its remains last for a minute.

function fragment4(id: number, fragmentOffset: number, length: number, moreFragments: boolean) {
  const number = id % 3 === 0 ? protocol.icmp : protocol.udp;
  const fields = { id, fragmentOffset, moreFragments };
  return frame(ethernet.ipv4, ipv4(served.http, number, zeros(length), fields));
}

function fragment6(id: number, offset: number, length: number, more: boolean) {
  const header = bytes(protocol.udp, 0, u16(offset | (more ? 1 : 0)), u32(id));
  return frame(ethernet.ipv6, ipv6(served.http6, 44, bytes(header, zeros(length))));
}

attack("10,000 incomplete reassemblies", async ({ siege, annotate }) => {
  const guest = await siege.guest({ ipv6: true });
  const frames = many(10_000, (i) =>
    i % 2 === 0 ? fragment4(i, 8 * (i % 100), 1_000, true) : fragment6(i, 0, 1_000, true),
  );
  await siege.replay(guest, frames, annotate);
  siege.noteFragments();
});

attack("tiny and overlapping fragments, and the ping of death", async ({ siege, annotate }) => {
  const guest = await siege.guest({ ipv6: true });
  const frames = many(400, (i) => [
    ...many(20, (part) => fragment4(i, 8 * part, 8, true)),
    fragment4(i + 1_000, 0, 24, true),
    fragment4(i + 1_000, 16, 24, true),
    fragment4(i + 2_000, 0, 1_000, true),
    fragment4(i + 2_000, 8, 16, true),
    fragment4(i + 3_000, 65_528, 1_000, false),
    fragment4(i + 4_000, 65_528, 8, true),
    fragment4(i + 5_000, 8, 0, false),
    fragment4(i + 6_000, 8, 13, true),
    fragment6(i, 0, 1, true),
    fragment6(i + 1_000, 0, 1_200, true),
    fragment6(i + 1_000, 8, 1_200, false),
    fragment6(i + 2_000, 65_528, 1_200, false),
    fragment6(i + 3_000, 0, 0, false),
  ]).flat();
  await siege.replay(guest, frames, annotate);
  siege.noteFragments();
});

attack("a flood of 100,000 SYNs from spoofed addresses", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  const places = [
    [served.services, 9],
    [failing.blackHole, 80],
    ["10.0.2.2", 9],
    [failing.networkUnreachable, 80],
  ] as const;
  const frames = many(100_000, (i) => {
    const [to, port] = places[i % places.length];
    return tcp(to, 1024 + (i % 60_000), port, flag.syn, { source: spoofed(i), sequence: i });
  });
  await siege.replay(guest, frames, annotate, { rate: 50_000, halfMs: 700 });
});

attack("a scan of all 65,535 ports", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  const frames = many(65_535, (i) => tcp(served.http, 40_000, i + 1, flag.syn));
  await siege.replay(guest, frames, annotate, { rate: 50_000, halfMs: 450 });
});

attack("UDP from every port, with spoofed addresses", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  const frames = many(20_000, (i) =>
    udp(served.services, 1024 + i, 9, zeros(8), i % 2 === 0 ? ghost : spoofed(i)),
  );
  await siege.replay(guest, frames, annotate);
});

function neighbor(type: number, target: string, option: ArrayLike<number>, source = ghost6) {
  const to = type === 135 ? "ff02::1" : guest6.router;
  const body = bytes(u32(0x6000_0000), address(target), option);
  const message = icmpv6(source, to, type, 0, body);
  return frame(ethernet.ipv6, ipv6(to, protocol.icmpv6, message, { source, hopLimit: 255 }));
}

attack("ARP and NDP floods, and claims to be the gateway", async ({ siege, annotate }) => {
  const guest = await siege.guest({ ipv6: true, options: ["--cidr=10.0.2.0/24"] });
  const frames = many(4_000, (i) => {
    const lladdr = bytes(2, 1, macOf(i));
    const from = text(macOf(i));
    const variants = [
      () => frame(ethernet.arp, arp(1, macOf(i), spoofed(i), "10.0.2.2"), { from }),
      () => frame(ethernet.arp, arp(2, macOf(i), "10.0.2.2", "10.0.2.100"), { from }),
      () => frame(ethernet.arp, arp(2, macOf(i), "10.0.2.100", "10.0.2.2"), { from }),
      () =>
        frame(ethernet.arp, arp(1, mac(gatewayMac), "10.0.2.2", "10.0.2.2"), { from: gatewayMac }),
      () => neighbor(135, guest6.gateway, lladdr, `fd00::${(i & 0xffff).toString(16)}`),
      () => neighbor(136, guest6.router, lladdr),
      () => neighbor(136, guest6.gateway, bytes(2, 0, macOf(i))),
      () => neighbor(135, "fd00::1:1", bytes(1, 255, macOf(i))),
    ];
    return variants[i % variants.length]();
  });
  await siege.replay(guest, frames, annotate);
});

interface DhcpLies {
  readonly options?: ArrayLike<number>;
  readonly hlen?: number;
}

function dhcp(index: number, type: number, { options = [], hlen = 6 }: DhcpLies = {}): Uint8Array {
  const head = bytes(1, 1, hlen, 0, u32(index), u16(0), u16(0x8000), zeros(16), macOf(index));
  const message = bytes(head, zeros(10 + 64 + 128), u32(0x6382_5363), 53, 1, type, options, 255);
  return frame(
    ethernet.ipv4,
    ipv4(
      "255.255.255.255",
      protocol.udp,
      // No checksum: IPv4 permits it.
      bytes(u16(68), u16(67), u16(8 + message.length), u16(0), message),
      { source: "0.0.0.0" },
    ),
    { from: text(macOf(index)), to: "ff:ff:ff:ff:ff:ff" },
  );
}

attack("DHCP: exhaustion of the addresses, and lies about lengths", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  const lies: readonly DhcpLies[] = [
    { options: [61, 255, 1] },
    { options: [12, 0] },
    { options: [55, 200, 1, 3, 6] },
    { options: bytes(u16(57 * 256 + 2), u16(1)) },
    { options: [50, 1, 9] },
    { options: [52, 1, 3] },
    { hlen: 16 },
    { hlen: 255 },
    { options: bytes(...many(20, () => bytes(61, 255, zeros(255)))).subarray(0, 1000) },
  ];
  const frames = many(4_000, (i) => {
    if (i % 2 === 0) return dhcp(i, i % 4 === 0 ? 1 : 3);
    return dhcp(i, 1 + (i % 8), lies[i % lies.length]);
  });
  await siege.replay(guest, frames, annotate);
  const offer = await guest.run(["ip", "-brief", "address", "show", "tap0"]);
  expect(offer.stdout).toContain("10.0.2.100");
});

/** a header of one question and so many other records */
const dnsHeader = (id: number, records = 0) =>
  bytes(u16(id), u16(0x100), u16(1), u16(records), u32(0));
const label = (name: string) => bytes(name.length, Buffer.from(name));
const question = bytes(u16(1), u16(1));

attack("DNS: loops of compression pointers, long names, a flood", async ({ siege, annotate }) => {
  const guest = await siege.guest({ mtu: 65_520 });
  const hostile = [
    bytes(dnsHeader(1), u16(0xc00c), question),
    bytes(dnsHeader(2), label("a"), u16(0xc00c), question),
    bytes(dnsHeader(3), u16(0xc00e), u16(0xc00c), question),
    bytes(dnsHeader(4), u16(0xffff), question),
    bytes(dnsHeader(5), ...many(1_000, () => label("a".repeat(63))), 0, question),
    bytes(dnsHeader(6), ...many(1_000, () => label("b")), 0, question),
    bytes(dnsHeader(7), 64, zeros(64), 0, question),
    bytes(dnsHeader(8), 255),
    bytes(dnsHeader(9, 65_535), label("c"), 0, question),
    bytes(u16(10), u16(0x100), u16(65_535), u32(0), u16(0), label("d"), 0, question),
    dnsHeader(11).subarray(0, 11),
    new Uint8Array(0),
    bytes(dnsHeader(12, 1), label("e"), 0, question, u16(0xc00c), u16(41), u32(0), u16(65_535)),
  ];
  const frames = many(8_000, (i) => {
    const flood = bytes(dnsHeader(i), label(`f${i}`), label("invalid"), 0, question);
    return udp("10.0.2.3", 1024 + i, 53, i % 2 === 0 ? flood : hostile[(i >> 1) % hostile.length]);
  });
  await siege.replay(guest, frames, annotate, { rate: 20_000 });
  const answer = await guest.run(["dig", "+tries=5", "+time=2", "@10.0.2.3", "world.example"]);
  expect(answer.stdout).toContain("status: NOERROR");
});

/** a hop-by-hop or destination options header of 8 bytes: padding */
const options = (next: number) => bytes(next, 0, 1, 4, zeros(4));

attack(
  "IPv6: chains of extension headers, jumbograms, routing headers",
  async ({ siege, annotate }) => {
    const guest = await siege.guest({ ipv6: true });
    const to = served.http6;
    const segment = tcp(to, 5_000, 9, flag.syn).subarray(10 + 14 + 40);
    const routing = (type: number, left: number, length = 2) =>
      bytes(protocol.tcp, length, type, left, zeros(4 + 16), segment);
    const jumbo = bytes(protocol.tcp, 0, 0xc2, 4, u32(70_000), segment);
    const packets = [
      ipv6(
        to,
        0,
        bytes(options(60), ...many(150, () => options(60)), options(protocol.tcp), segment),
      ),
      ipv6(to, 0, bytes(...many(170, () => options(0)))),
      ipv6(to, 0, bytes(options(protocol.tcp), segment)),
      ipv6(to, 60, bytes(protocol.tcp, 255, zeros(30))),
      ipv6(to, 60, bytes(59)),
      ipv6(to, 59, zeros(100)),
      ipv6(to, 0, jumbo, { payloadLength: 0 }),
      ipv6(to, 0, jumbo),
      ipv6(to, protocol.tcp, segment, { payloadLength: 65_535 }),
      ipv6(to, protocol.tcp, segment, { payloadLength: 0 }),
      ipv6(to, 43, routing(0, 1)),
      ipv6(to, 43, routing(0, 255)),
      ipv6(to, 43, routing(2, 1)),
      ipv6(to, 43, routing(4, 9, 255)),
      ipv6(to, 51, bytes(protocol.tcp, 255, zeros(20))),
      ipv6(to, 50, zeros(60)),
      ipv6(to, 60, bytes(protocol.tcp, 0, 0xc5, 4, zeros(4), segment)),
      ipv6("ff02::1", 60, bytes(protocol.tcp, 0, 0x85, 4, zeros(4), segment)),
      ipv6("::ffff:c0.0201", protocol.tcp, segment),
      ipv6("::1", protocol.tcp, segment),
    ];
    const frames = packets.map((packet) => frame(ethernet.ipv6, packet));
    await siege.replay(guest, frames, annotate);
  },
);

attack("spoofed MACs and source addresses", async ({ siege, annotate }) => {
  const guest = await siege.guest({ ipv6: true });
  const sources = [
    ...["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "10.0.2.2", "10.0.2.3"],
    ...["10.0.2.255", "169.254.1.1", served.http, "240.0.0.1"],
  ];
  const sources6 = [
    "::1",
    "::",
    "ff02::1",
    guest6.gateway,
    guest6.router,
    guest6.dns,
    "::ffff:0a00:0264",
  ];
  const macs = ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00", gatewayMac];
  const packets = [
    ...sources.flatMap((source) => [
      udp(served.http, 5_000, 9, zeros(8), source),
      udp("10.0.2.2", 5_000, 9, zeros(8), source),
      udp("10.0.2.3", 53, 53, zeros(12), source),
      tcp(served.http, 5_001, 9, flag.syn, { source }),
      frame(ethernet.ipv4, ipv4("10.0.2.2", protocol.icmp, icmp(8, 0, zeros(8)), { source })),
      frame(ethernet.ipv4, ipv4(served.http, protocol.icmp, icmp(3, 3, zeros(40)), { source })),
    ]),
    ...sources6.flatMap((source) => [
      udp(served.http6, 5_000, 9, zeros(8), source),
      tcp(served.http6, 5_001, 9, flag.syn, { source }),
      frame(
        ethernet.ipv6,
        ipv6(guest6.gateway, protocol.icmpv6, icmpv6(source, guest6.gateway, 128, 0, zeros(8)), {
          source,
        }),
      ),
    ]),
  ];
  const frames = packets.flatMap((packet) => [
    packet,
    ...macs.map((from) => bytes(packet.subarray(0, 16), mac(from), packet.subarray(22))),
    bytes(packet.subarray(0, 10), zeros(6), packet.subarray(16)),
    bytes(packet.subarray(0, 10), mac("ff:ff:ff:ff:ff:ff"), packet.subarray(16)),
  ]);
  await siege.replay(guest, frames, annotate);
});

attack("hostile virtio headers that the kernel lets through", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  const packets = [
    tcp(served.http, 6_000, 9, flag.ack, { payload: zeros(4_000) }),
    tcp("10.0.2.2", 6_001, 9, flag.syn),
    udp(served.http, 6_000, 9, zeros(4_000)),
    udp("10.0.2.2", 6_000, 9, zeros(10)),
  ];
  const numbers = [0, 1, 8, 34, 54, 1_460, 4_000, 65_535];
  const headers = [0, 1, 3, 4, 5, 0x81, 0xff].flatMap((gsoType) =>
    [0, 1, 2, 4].flatMap((flags) =>
      numbers.flatMap((gsoSize) =>
        numbers.map((checksumStart) =>
          vnet({
            gsoType,
            flags,
            gsoSize,
            checksumStart,
            checksumOffset: gsoSize % 97,
            headerLength: 54,
          }),
        ),
      ),
    ),
  );
  const frames = packets.flatMap((packet) =>
    headers.map((header) => bytes(header, packet.subarray(vnetLength))),
  );
  await siege.replay(guest, frames, annotate);
});

attack("frames of every length that the TAP takes", async ({ siege, annotate }) => {
  const guest = await siege.guest({ mtu: 65_520 });
  const long = udp(served.http, 6_000, 9, zeros(65_470));
  const lengths = many(1_500, (i) => 24 + i).concat(many(64, (i) => 1_500 + 1_000 * i));
  const frames = lengths.map((length) => long.subarray(0, length));
  await siege.replay(guest, frames, annotate, { rate: 10_000 });
});

attack("afterwards everything is back at its baseline", async ({ siege, annotate }) => {
  await annotate(await siege.expectBaseline(), "measured");
});
