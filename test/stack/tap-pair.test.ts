import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { TunnelLayout } from "../../src/stack/tunnel-frames.js";
import { TAPS_TAKE_DATAGRAMS } from "../../src/sys/release.js";
import { checksumOptions, wrongChecksum } from "../lab/tshark.js";
import { OVER_IP, OVER_VXLAN } from "./joining.js";
import { TapPair, type Wire } from "./tap-pair.js";

const BYTES = 8 << 20;
const VXLAN_HEADER = 8;

/** Sends BYTES to argv[1], or takes them there; both print their hash. */
const SENDER = `
  const hash = require("node:crypto").createHash("sha256");
  const bytes = Buffer.alloc(${BYTES}, (i) => 0);
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  require("node:net").connect(5001, process.argv[1]).end(bytes);
  console.log(hash.update(bytes).digest("hex"));`;
const TAKER = `
  const hash = require("node:crypto").createHash("sha256");
  const server = require("node:net").createServer((socket) => {
    socket.on("data", (bytes) => hash.update(bytes));
    socket.on("end", () => { console.log(hash.digest("hex")); socket.end(); server.close(); });
  });
  server.listen(5001, process.argv[1], () => console.log("ready"));`;

/** Sends ten datagrams of 1,000 bytes and one of 300 by one UDP_SEGMENT send. */
const UDP_SENDER = `
  use Socket;
  socket(my $s, AF_INET, SOCK_DGRAM, 0) or die $!;
  connect($s, pack_sockaddr_in(5002, inet_aton("10.0.2.2"))) or die $!;
  setsockopt($s, 17, 103, pack("i", 1000)) or die $!;
  defined(send($s, join("", map { chr(65 + $_) x 1000 } 0 .. 9) . "Z" x 300, 0)) or die $!;`;
const UDP_TAKER = `
  use Socket;
  $| = 1;
  socket(my $s, AF_INET, SOCK_DGRAM, 0) or die $!;
  bind($s, pack_sockaddr_in(5002, INADDR_ANY)) or die $!;
  print "ready\\n";
  for (1 .. 11) { recv($s, my $d, 9000, 0); print substr($d, 0, 1), length($d), substr($d, -1), "\\n"; }`;

async function opened(options: typeof OVER_IP, wire: Wire): Promise<TapPair> {
  const pair = await TapPair.open(options, wire);
  onTestFinished(() => pair.close());
  return pair;
}

/** Sends BYTES from a to b over TCP. */
async function transfer(pair: TapPair, address: string): Promise<void> {
  const taker = pair.start(pair.b, process.execPath, "-e", TAKER, address);
  await taker.first;
  const sender = pair.start(pair.a, process.execPath, "-e", SENDER, address);
  const sent = await sender.all;
  expect(await taker.all).toBe(`ready\n${sent}`);
}

/** Lines of tshark about packets that it finds fault with. */
function complaints(packets: readonly Buffer[], layout: TunnelLayout): string {
  const directory = mkdtempSync(join(tmpdir(), "wire-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const isRaw = layout === TunnelLayout.Ip;
  const header = Buffer.alloc(24);
  // pcap: its magic number, version 2.4, the longest packet, LINKTYPE_RAW or LINKTYPE_ETHERNET.
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(isRaw ? 101 : 1, 20);
  const records = packets.map((datagram) => {
    const packet = datagram.subarray(isRaw ? 0 : VXLAN_HEADER);
    const record = Buffer.alloc(16);
    record.writeUInt32LE(packet.length, 8);
    record.writeUInt32LE(packet.length, 12);
    return Buffer.concat([record, packet]);
  });
  const file = join(directory, "wire.pcap");
  writeFileSync(file, Buffer.concat([header, ...records]));
  const filter = `${wrongChecksum} || _ws.malformed`;
  const options = { stdio: "pipe", maxBuffer: 1 << 26 } as const;
  return execFileSync("tshark", ["-r", file, ...checksumOptions, "-Y", filter], options).toString();
}

describe.each([
  ["VXLAN", OVER_VXLAN],
  ["IP", OVER_IP],
])("two kernels, over %s", (_, options) => {
  it.each(["10.0.2.2", "fd00::2"])("exchange what tshark finds right: %s", async (address) => {
    const carried: Buffer[] = [];
    const pair = await opened(options, (datagrams) => {
      carried.push(...datagrams);
      return datagrams;
    });
    await transfer(pair, address);
    const { a, b } = pair;
    expect(a.cut).toBeGreaterThan(0);
    expect(b.joined).toBeGreaterThan(0);
    for (const end of [a, b]) {
      expect(end.counter("Tcp", "InCsumErrors")).toBe(0);
      expect(end.counter("Tcp", "InErrs")).toBe(0);
      expect(end.counter("Ip", "InHdrErrors")).toBe(0);
      expect(end.drops.entries()).toEqual([]);
    }
    expect(complaints(carried, options.layout)).toBe("");
  });

  it.runIf(TAPS_TAKE_DATAGRAMS)("exchange superframes of UDP", async () => {
    const pair = await opened(options, (datagrams) => datagrams);
    const taker = pair.start(pair.b, "perl", "-e", UDP_TAKER);
    await taker.first;
    await pair.start(pair.a, "perl", "-e", UDP_SENDER).all;
    const letters = [..."ABCDEFGHIJ"].map((letter) => `${letter}1000${letter}`);
    expect(await taker.all).toBe(["ready", ...letters, "Z300Z"].join("\n"));
    expect(pair.a.cut).toBe(1);
    expect(pair.b.joined).toBe(1);
    expect(pair.b.counter("Udp", "InCsumErrors")).toBe(0);
  });

  it("lose nothing when the wire loses, doubles, damages and reorders", async () => {
    let count = 0;
    const damaged = { sent: 0 };
    const pair = await opened(options, (datagrams) => {
      const passed: Buffer[] = [];
      for (const datagram of datagrams) {
        count += 1;
        if (count % 101 === 0) continue;
        if (count % 149 === 0) passed.push(datagram);
        const isLong = datagram.length > 1000;
        if (isLong && count % 211 === 0) {
          datagram[datagram.length - 7] ^= 0x10;
          damaged.sent += 1;
        }
        // Every so often one overtakes the three before it.
        if (count % 67 === 0) passed.splice(-3, 0, datagram);
        else passed.push(datagram);
      }
      return passed;
    });
    await transfer(pair, "10.0.2.2");
    await transfer(pair, "fd00::2");
    const { a, b } = pair;
    expect(b.joined).toBeGreaterThan(0);
    expect(damaged.sent).toBeGreaterThan(0);
    // All that was damaged was found here, and none of it reached a kernel.
    const found = [a, b].flatMap(({ drops }) => drops.entries());
    expect(found.reduce((sum, [, dropped]) => sum + dropped, 0)).toBe(damaged.sent);
    expect(new Set(found.map(([reason]) => reason))).toEqual(new Set(["tcp-bad-checksum"]));
    for (const end of [a, b]) expect(end.counter("Tcp", "InCsumErrors")).toBe(0);
  });
});
