import { served } from "../../lab/addresses.ts";
import { sinkPort, sourcePort } from "../../lab/attack.ts";
import type { Guest } from "../../lab/guest.ts";
import { attack, expect, type Siege } from "./assault.ts";
import { bytes, flag, ghostMac, tcp, zeros } from "./frames.ts";
import { Ghost, GhostConnection } from "./ghost.ts";

/** TCP answers each of these segments with an acknowledgment (RFC 9293 §3.10.7.4). */
const answered = { rate: 15_000 };

const ghostIn = async (siege: Siege, guest: Guest) =>
  new Ghost(await siege.attacker.handmade(guest, ghostMac));

attack("20,000 connections opened and left", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  await using ghost = await ghostIn(siege, guest);
  const places = [served.services, served.http, served.dns];
  const opened: GhostConnection[] = [];
  // More than the limit: the last get no answer.
  const patience = 5_000;
  for (const to of places) opened.push(...(await ghost.open(6_667, to, sinkPort, { patience })));
  await annotate(
    `${opened.length} opened, ${guest.helper.openDescriptors()} descriptors`,
    "measured",
  );
  expect(opened.length).toBeGreaterThan(0);
  expect(guest.helper.openDescriptors()).toBeLessThan(16_384 + 100);
  await siege.compare(guest, annotate);
  await siege.reset(guest, ghost, opened);
});

attack("1,000 windows of zero, and readers of a byte at a time", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  await using ghost = await ghostIn(siege, guest);
  const opened = await ghost.open(1_000, served.services, sourcePort);
  expect(opened).toHaveLength(1_000);
  // Half accept nothing any more, half a byte of what arrives, ten times a second.
  const readers = opened.filter((_, index) => index % 2 === 0);
  ghost.send(opened.map((each) => each.segment(flag.ack, { window: 0 })));
  const reading = setInterval(() => {
    for (const each of readers) each.acknowledgment = (each.acknowledgment + 1) >>> 0;
    ghost.send(readers.map((each) => each.segment(flag.ack, { window: 1 })));
  }, 100);
  await siege.compare(guest, annotate);
  clearInterval(reading);
  await siege.reset(guest, ghost, opened);
});

attack(
  "one-byte segments, out of order, overlapping, with wrong numbers",
  async ({ siege, annotate }) => {
    const guest = await siege.guest();
    await using ghost = await ghostIn(siege, guest);
    // The sequence numbers wrap within the first segments.
    const opened = await ghost.open(64, served.services, sinkPort, { sequence: 0xffff_fff0 });
    expect(opened).toHaveLength(64);
    const frames = opened.flatMap((each) => {
      const at = (offset: number, length: number) => ({
        sequence: each.sequence + offset,
        payload: zeros(length),
      });
      const bytesInOrder = Array.from({ length: 40 }, (_, i) => at(i, 1));
      const everySecond = Array.from({ length: 40 }, (_, i) => at(50 + 2 * i, 1));
      const overlapping = Array.from({ length: 20 }, (_, i) => at(45 + 3 * i, 10));
      const far = [at(60_000, 1_000), at(70_000, 1_000), at(2 ** 31, 1_000), at(-5_000, 1_000)];
      const acknowledgments = [0, -1, 1, 65_536, 2 ** 31 - 1, 2 ** 31, -(2 ** 30)].map(
        (offset) => ({
          acknowledgment: each.acknowledgment + offset,
        }),
      );
      const old = { sequence: each.sequence - 70_000 };
      return [
        ...[...bytesInOrder, ...everySecond, ...overlapping, ...far].map((fields) =>
          each.segment(flag.ack, fields),
        ),
        ...acknowledgments.map((fields) => each.segment(flag.ack, fields)),
        each.segment(flag.syn, { sequence: each.sequence + 10 }),
        each.segment(flag.syn | flag.ack, { sequence: each.sequence + 20 }),
        each.segment(flag.rst, { sequence: each.sequence + 30_000 }),
        each.segment(flag.rst, old),
        each.segment(flag.fin | flag.ack, old),
        each.segment(flag.fin | flag.ack, { sequence: each.sequence + 40_000 }),
        each.segment(0, at(1, 1)),
        each.segment(flag.syn | flag.fin | flag.rst | flag.psh | flag.ack | flag.urg, at(1, 1)),
      ];
    });
    await siege.replay(guest, frames, annotate, answered);
    const steps = Array.from({ length: 131 }, (_, step) => step);
    await siege.reset(guest, ghost, opened, [...steps, 61_000, 71_000]);
  },
);

attack("options: garbage of every length", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  await using ghost = await ghostIn(siege, guest);
  const opened = await ghost.open(16, served.services, sinkPort);
  const random = (length: number, seed: number) =>
    Uint8Array.from({ length }, (_, i) => Math.imul(seed + 1, 2_654_435_761 + 977 * i) >>> 24);
  const garbage = [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40].flatMap((length) => [
    zeros(length),
    zeros(length).fill(1),
    zeros(length).fill(255),
    ...[2, 3, 4, 5, 8, 19, 28, 34, 253].flatMap((kind) => [
      // A kind at the very end; lengths of 0, 1 and far beyond.
      bytes(zeros(Math.max(0, length - 1)).fill(1), ...(length > 0 ? [kind] : [])),
      bytes(kind, 0, zeros(length)).subarray(0, length),
      bytes(kind, 1, zeros(length)).subarray(0, length),
      bytes(kind, 255, zeros(length)).subarray(0, length),
      bytes(kind, length, zeros(length).fill(kind)).subarray(0, length),
    ]),
    ...Array.from({ length: 8 }, (_, seed) => random(length, seed + length)),
  ]);
  const frames = garbage.flatMap((options, i) => [
    tcp(served.services, 20_000 + i, sinkPort, flag.syn, { options }),
    opened[i % opened.length].segment(flag.ack, { options }),
    opened[i % opened.length].segment(flag.ack, { options, payload: zeros(10) }),
    // The header ends before it begins, or after the segment.
    ...[0, 1, 4, 6, 15].map((dataOffset) =>
      opened[i % opened.length].segment(flag.ack, { dataOffset, payload: options }),
    ),
  ]);
  await siege.replay(guest, frames, annotate, { rate: 30_000 });
  const begun = garbage.map(
    (_, i) => new GhostConnection(served.services, sinkPort, 20_000 + i, 1),
  );
  await siege.reset(
    guest,
    ghost,
    [...opened, ...begun],
    Array.from({ length: 80 }, (_, step) => step),
  );
});

attack("urgent pointers of every kind", async ({ siege, annotate }) => {
  const guest = await siege.guest();
  await using ghost = await ghostIn(siege, guest);
  const opened = await ghost.open(32, served.services, sinkPort);
  const pointers = [0, 1, 2, 9, 10, 11, 255, 1_460, 32_767, 32_768, 65_534, 65_535];
  const frames = opened.flatMap((each) =>
    pointers.flatMap((urgent) => [
      each.segment(flag.ack | flag.urg, { urgent }),
      each.segment(flag.ack | flag.urg, { urgent, payload: zeros(10) }),
      each.segment(flag.ack | flag.urg | flag.psh, { urgent, payload: zeros(1_400) }),
      each.segment(flag.ack | flag.urg, { urgent, payload: zeros(1), sequence: each.sequence + 9 }),
      each.segment(flag.ack | flag.urg | flag.fin, { urgent, sequence: each.sequence - 50_000 }),
      each.segment(flag.ack, { urgent, payload: zeros(1) }),
    ]),
  );
  await siege.replay(guest, frames, annotate, answered);
  await siege.reset(guest, ghost, opened, [0, 1, 10, 1_400]);
});

attack("afterwards everything is back at its baseline", async ({ siege, annotate }) => {
  await annotate(await siege.expectBaseline(), "measured");
});
