import { setTimeout as delay } from "node:timers/promises";
import { guest6, served } from "../../lab/addresses.ts";
import type { Guest } from "../../lab/guest.ts";
import type { Lab } from "../../lab/lab.ts";
import { attack, expect, type Siege } from "./assault.ts";
import {
  address,
  arp,
  bytes,
  ethernet,
  flag,
  frame,
  ghost,
  ghost6,
  ghostMac,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  mac,
  protocol,
  u16,
  udpDatagram,
  vnetLength,
  zeros,
} from "./frames.ts";
import { Ghost } from "./ghost.ts";

const gateway = "10.0.2.2";
const fenceId = 0x7e57;

/**
 * Sends frames and, last, a ping to the gateway. Everything before its answer is the answer to the
 * frames, because one guest's frames are processed in order.
 */
async function answersTo(
  siege: Siege,
  guest: Guest,
  frames: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  await using pipe = await siege.attacker.handmade(guest, ghostMac);
  const answers: Uint8Array[] = [];
  const answered = new Promise<void>((resolve) => {
    pipe.onFrame((each) => {
      const packet = each.subarray(vnetLength + 14);
      if (packet[9] === protocol.icmp && packet[24] === 0x7e && packet[25] === 0x57) resolve();
      else answers.push(Uint8Array.from(packet));
    });
  });
  const fence = icmp(8, 0, bytes(u16(fenceId), u16(1), zeros(8)));
  pipe.send([...frames, frame(ethernet.ipv4, ipv4(gateway, protocol.icmp, fence))]);
  const late = delay(10_000, "late");
  expect(await Promise.race([answered, late]), "the ping behind the frames").toBeUndefined();
  expect(guest.helper.running).toBe(true);
  return answers;
}

/** What a guest's program sends to a port of the world arrives, and nothing else; likewise back. */
async function expectRelayed(lab: Lab, guest: Guest, port: number, texts: readonly string[]) {
  await using listener = await lab.world.agent.listen(served.services, port);
  const inside = await (await guest.agent()).connect(listener.endpoint);
  const outside = await listener.accept();
  for (const text of texts) {
    await inside.write(text);
    expect(await outside.read(text.length)).toBe(text);
    await outside.write(text);
    expect(await inside.read(text.length)).toBe(text);
  }
  await inside.end();
  expect(await outside.readToEnd()).toBe("");
  await outside.end();
  expect(await inside.readToEnd()).toBe("");
}

function fragment(id: number, fragmentOffset: number, payload: ArrayLike<number>, more: boolean) {
  const fields = { id, fragmentOffset, moreFragments: more };
  return frame(ethernet.ipv4, ipv4(served.http, protocol.udp, payload, fields));
}

/** A packet cut at every length, as the frame's end, with its header unchanged. */
const cut = (type: number, packet: Uint8Array, from = 0) =>
  Array.from({ length: packet.length - from }, (_, i) => frame(type, packet.subarray(0, from + i)));

attack("CVE-2014-3640: UDP from port 0 and from an unspecified address", async ({ siege }) => {
  const guest = await siege.guest();
  const sources = [ghost, "0.0.0.0"];
  const frames = sources.flatMap((source) => [
    frame(
      ethernet.ipv4,
      ipv4(served.http, 17, udpDatagram(source, served.http, 0, 9, [1]), { source }),
    ),
    frame(ethernet.ipv4, ipv4(gateway, 17, udpDatagram(source, gateway, 0, 0, [1]), { source })),
  ]);
  // A source port of 0 allows no answer but an error; an unspecified source allows none.
  const answers = await answersTo(siege, guest, frames);
  for (const answer of answers) {
    expect(answer[9]).toBe(protocol.icmp);
    expect(Array.from(answer.subarray(16, 20))).toEqual(address(ghost));
  }
});

attack("CVE-2017-13711: connections reset while they open", async ({ siege, lab }) => {
  const guest = await siege.guest();
  const ghosts = new Ghost(await siege.attacker.handmade(guest, ghostMac));
  const listener = await lab.world.agent.listen(served.services);
  for (let round = 0; round < 5; round += 1) {
    const opened = await ghosts.open(40, served.services, listener.endpoint.port);
    ghosts.send(
      opened.flatMap((each) => [
        each.segment(flag.ack, { payload: [1] }),
        each.segment(flag.rst, { sequence: each.sequence + 1 }),
        each.segment(flag.ack, { payload: [2], sequence: each.sequence + 1 }),
        each.segment(flag.syn, { sequence: each.sequence - 1, acknowledgment: 0 }),
        each.segment(flag.rst | flag.ack, { acknowledgment: each.acknowledgment }),
      ]),
    );
  }
  await ghosts.close();
  await listener.close();
  expect(guest.helper.running).toBe(true);
});

attack("CVE-2018-11806: many fragments after a large one", async ({ siege }) => {
  const guest = await siege.guest({ mtu: 65_520 });
  const frames = [
    fragment(1, 0, zeros(24_000), true),
    ...Array.from({ length: 60 }, (_, i) => fragment(1, 24_000 + 8 * i, zeros(8), true)),
    fragment(1, 24_480, zeros(41_000), false),
  ];
  siege.noteFragments();
  expect(await answersTo(siege, guest, frames)).toEqual([]);
});

attack("CVE-2019-6778: much data to the IDENT port", async ({ siege, lab }) => {
  const guest = await siege.guest();
  const long = Array.from({ length: 60 }, (_, i) => `${i}`.padEnd(1_000, "x"));
  await expectRelayed(lab, guest, 113, long);
});

attack("CVE-2019-9824: IDENT queries, complete and broken", async ({ siege, lab }) => {
  const guest = await siege.guest();
  await expectRelayed(lab, guest, 113, ["1, 2\r\n", "1024,80\r\n", "9", ",\r\n", "99999999, 1\n"]);
});

attack("CVE-2019-14378: a first fragment longer than a buffer", async ({ siege }) => {
  const guest = await siege.guest({ mtu: 65_520 });
  const frames = [10_000, 40_000, 65_480].flatMap((length, id) => [
    fragment(id, 0, zeros(length), true),
    fragment(id, length, zeros(8), true),
    fragment(id, length + 8, zeros(100), false),
  ]);
  // Those up to 65,515 bytes are datagrams of zeros to port 0, which nobody answers.
  siege.noteFragments();
  expect(await answersTo(siege, guest, frames)).toEqual([]);
});

attack("CVE-2019-15890: fragments that replace others", async ({ siege }) => {
  const guest = await siege.guest();
  const frames = Array.from({ length: 50 }, (_, id) => [
    fragment(id, 8, zeros(16), true),
    fragment(id, 0, zeros(8), true),
    fragment(id, 0, zeros(32), true),
    fragment(id, 16, zeros(8), false),
    fragment(id, 8, zeros(8), false),
  ]).flat();
  siege.noteFragments();
  expect(await answersTo(siege, guest, frames)).toEqual([]);
});

attack("CVE-2020-1983: fragments whose sum grows beyond the first's buffer", async ({ siege }) => {
  const guest = await siege.guest({ mtu: 65_520 });
  const frames = [
    fragment(1, 16_000, zeros(20_000), true),
    fragment(1, 8, zeros(15_992), true),
    fragment(1, 36_000, zeros(29_400), false),
    fragment(1, 0, zeros(8), true),
    fragment(2, 65_528, zeros(8), false),
    fragment(2, 0, zeros(65_400), true),
  ];
  siege.noteFragments();
  expect(await answersTo(siege, guest, frames)).toEqual([]);
});

const ircAndFtp = [
  "PRIVMSG a :\u0001DCC CHAT chat 3232235777 1025\u0001\r\n",
  "PRIVMSG a :\u0001DCC SEND f 3232235777 1026 9\u0001\r\n",
  "PORT 10,0,2,100,4,1\r\n",
  "227 Entering Passive Mode (10,0,2,100,4,1)\r\n",
];

attack("CVE-2020-7039: DCC and PORT commands that fill their segment", async ({ siege, lab }) => {
  const guest = await siege.guest();
  for (const port of [21, 6667, 7070, 544]) {
    const padded = ircAndFtp.map((text) => text.padStart(1_448, " "));
    await expectRelayed(lab, guest, port, [...ircAndFtp, ...padded]);
  }
});

attack("CVE-2020-8608: commands longer than their buffer", async ({ siege, lab }) => {
  const guest = await siege.guest();
  for (const port of [21, 6667]) {
    const long = ircAndFtp.map((text) => text.repeat(300).slice(0, 12_000));
    await expectRelayed(lab, guest, port, long);
  }
});

attack("CVE-2020-10756: pings in IPv6 that claim more than they have", async ({ siege }) => {
  const guest = await siege.guest({ ipv6: true });
  const message = icmpv6(ghost6, guest6.gateway, 128, 0, bytes(u16(1), u16(1), zeros(8)));
  const frames = [17, 100, 1_400, 1_480, 8_000, 65_535].map((payloadLength) =>
    frame(ethernet.ipv6, ipv6(guest6.gateway, protocol.icmpv6, message, { payloadLength })),
  );
  expect(await answersTo(siege, guest, frames)).toEqual([]);
});

attack("CVE-2020-22283: IPv6 packets that provoke an error", async ({ siege }) => {
  const guest = await siege.guest({ ipv6: true, mtu: 65_520 });
  const datagram = udpDatagram(ghost6, "fd00::99", 5_000, 9, zeros(40_000));
  const frames = [
    frame(ethernet.ipv6, ipv6("fd00::99", protocol.udp, datagram)),
    frame(ethernet.ipv6, ipv6(served.http6, protocol.udp, datagram, { hopLimit: 1 })),
    frame(ethernet.ipv6, ipv6(served.http6, 99, zeros(1_000))),
    frame(ethernet.ipv6, ipv6(served.http6, 60, bytes(protocol.udp, 0, 0x80, 4, zeros(1_000)))),
  ];
  const answers = await answersTo(siege, guest, frames);
  // RFC 4443 §3: no error is longer than the least MTU, and it quotes what was sent.
  for (const answer of answers) expect(answer.length).toBeLessThanOrEqual(1_280);
  const quoted = ipv6("fd00::99", protocol.udp, datagram);
  const error = answers.find((answer) => answer[6] === protocol.icmpv6 && answer[40] === 1);
  expect(error?.subarray(48)).toEqual(quoted.subarray(0, (error?.length ?? 0) - 48));
});

attack("CVE-2020-22284: frames of unknown protocols", async ({ siege }) => {
  const guest = await siege.guest();
  const types = [0, 8, 0x05dc, 0x0600, 0x86dc, 0x88cc, 0x88f8, 0x8100, 0xffff];
  const frames = types.flatMap((type) =>
    [0, 1, 64, 127, 128, 1_500].map((length) => frame(type, zeros(length).fill(255))),
  );
  expect(await answersTo(siege, guest, frames)).toEqual([]);
});

attack("CVE-2020-29129: truncated NC-SI frames", async ({ siege }) => {
  const guest = await siege.guest();
  const packet = bytes(0, 1, 0, 0, 0, 0, 0, 0, zeros(24));
  expect(await answersTo(siege, guest, cut(0x88f8, packet))).toEqual([]);
});

attack("CVE-2020-29130: truncated ARP frames", async ({ siege }) => {
  const guest = await siege.guest();
  const request = arp(1, mac(ghostMac), ghost, gateway);
  expect(await answersTo(siege, guest, cut(ethernet.arp, request))).toEqual([]);
  expect(await answersTo(siege, guest, [frame(ethernet.arp, request)])).toHaveLength(1);
});

/** UDP of every claimed and real length below its header's and the protocol's own. */
function shortDatagrams(to: string, port: number, sourcePort: number, most: number): Uint8Array[] {
  const isSix = to.includes(":");
  const source = isSix ? ghost6 : ghost;
  return Array.from({ length: most }, (_, length) => {
    const datagram = udpDatagram(source, to, sourcePort, port, zeros(length).fill(1));
    const packets = [
      datagram,
      datagram.subarray(0, length % 8),
      bytes(datagram.subarray(0, 4), u16(length), u16(0), zeros(length)),
    ];
    return packets.map((each) =>
      isSix
        ? frame(ethernet.ipv6, ipv6(to, protocol.udp, each))
        : frame(ethernet.ipv4, ipv4(to, protocol.udp, each)),
    );
  }).flat();
}

attack("CVE-2021-3592: truncated DHCP messages", async ({ siege }) => {
  const guest = await siege.guest();
  const frames = [gateway, "255.255.255.255"].flatMap((to) => shortDatagrams(to, 67, 68, 240));
  expect(await answersTo(siege, guest, frames)).toEqual([]);
});

attack("CVE-2021-3593: UDP in IPv6 shorter than its header", async ({ siege }) => {
  const guest = await siege.guest({ ipv6: true, hostLoopback: false });
  const frames = [547, 53].flatMap((port) => shortDatagrams(guest6.dns, port, 546, 8));
  const answers = await answersTo(siege, guest, frames);
  expect(answers.filter((answer) => answer[6] === protocol.udp)).toEqual([]);
});

attack("CVE-2021-3594: UDP in IPv4 shorter than its header", async ({ siege }) => {
  const guest = await siege.guest({ hostLoopback: false });
  const frames = [53, 67].flatMap((port) => shortDatagrams("10.0.2.3", port, 40_000, 8));
  const answers = await answersTo(siege, guest, frames);
  expect(answers.filter((answer) => answer[9] === protocol.udp)).toEqual([]);
});

attack("CVE-2021-3595: TFTP requests, without a server", async ({ siege }) => {
  const guest = await siege.guest({ hostLoopback: false });
  const answers = await answersTo(siege, guest, shortDatagrams(gateway, 69, 40_000, 40));
  expect(answers.filter((answer) => answer[9] === protocol.udp)).toEqual([]);
});

attack("CVE-2026-8836: SNMP requests, without an agent", async ({ siege }) => {
  const guest = await siege.guest({ hostLoopback: false });
  const v3 = bytes(0x30, 0x82, u16(900), 2, 1, 3, 0x30, 0x0e, 4, 0x82, u16(880), zeros(900));
  const datagram = udpDatagram(ghost, gateway, 40_000, 161, v3);
  const answers = await answersTo(siege, guest, [
    frame(ethernet.ipv4, ipv4(gateway, protocol.udp, datagram)),
  ]);
  expect(answers.filter((answer) => answer[9] === protocol.udp)).toEqual([]);
});

attack("CVE-2026-9539: urgent pointers beyond the data", async ({ siege, lab }) => {
  const guest = await siege.guest();
  await using ghosts = new Ghost(await siege.attacker.handmade(guest, ghostMac));
  await using listener = await lab.world.agent.listen(served.services);
  let sent = "";
  const [connection] = await ghosts.open(1, served.services, listener.endpoint.port);
  const outside = await listener.accept();
  const pointers = [0, 1, 2, 3, 4, 255, 1_460, 0x7fff, 0x8000, 0xfffe, 0xffff];
  for (const urgent of pointers) {
    for (const payload of ["", "a", "bcd", "e".repeat(1_000)]) {
      const fields = { urgent, payload: Buffer.from(payload) };
      ghosts.send([connection.segment(flag.ack | flag.urg, fields)]);
      connection.sequence = (connection.sequence + payload.length) >>> 0;
      sent += payload;
    }
  }
  ghosts.send([connection.segment(flag.fin | flag.ack | flag.urg, { urgent: 0xffff })]);
  expect(await outside.readToEnd()).toBe(sent);
  await outside.close();
  connection.sequence += 1;
  await ghosts.reset([connection]);
});

attack("lwIP 2026: options longer than the header", async ({ siege, lab }) => {
  const guest = await siege.guest();
  await using ghosts = new Ghost(await siege.attacker.handmade(guest, ghostMac));
  await using listener = await lab.world.agent.listen(served.services);
  const { port } = listener.endpoint;
  const kinds = [2, 3, 4, 5, 8, 30, 254];
  // A kind as the very last byte, or a length beyond the last: complete options before it count.
  const options = kinds.flatMap((kind) => [
    bytes(1, 1, 1, kind),
    bytes(1, 1, kind, 40),
    bytes(1, 1, kind, 0),
    bytes(2, 4, u16(500), 1, kind, 255, 0),
    bytes(2, 4, u16(500), 1, 1, 1, kind),
  ]);
  for (const each of options) {
    const [connection] = await ghosts.open(1, served.services, port, { options: each });
    await using outside = await listener.accept();
    ghosts.send([connection.segment(flag.ack, { payload: Buffer.from("ok"), options: each })]);
    expect(await outside.read(2)).toBe("ok");
    connection.sequence += 2;
    await ghosts.reset([connection]);
  }
});

attack("afterwards everything is back at its baseline", async ({ siege, annotate }) => {
  await annotate(await siege.expectBaseline(), "measured");
});
