import { describe, expect, test } from "vitest";
import { FlowEvent } from "../../src/stack/stack.js";
import { Flag, HandmadeGuest, MSS_1460 } from "./handmade.js";
import { pattern } from "./pattern.js";

// Segments that RFC 9293 allows, or forbids, and that a guest's kernel rarely or never sends.

/** MSS 1460 and window scale 7. */
const SCALED = [...MSS_1460, 1, 3, 3, 7];

describe.each([4, 6] as const)("IPv%i", (family) => {
  function connected(options: readonly number[] = MSS_1460, window?: number): HandmadeGuest {
    const guest = new HandmadeGuest(family);
    guest.connect(options, window);
    return guest;
  }

  /** Writes until the stack takes no more, as a host does that has much to send. */
  function writeAll(guest: HandmadeGuest, bytes: Buffer): number {
    let written = 0;
    for (let taken = 1; taken > 0 && written < bytes.length; written += taken) {
      taken = guest.end.write(bytes.subarray(written));
    }
    return written;
  }

  describe("urgent data", () => {
    test.each([1, 3, 5, 6, 7, 100, 0x7fff, 0xffff])(
      "is delivered in line, whatever the urgent pointer: %i",
      (urgentPointer) => {
        const guest = connected();
        const data = pattern(3_000);
        const flags = Flag.Ack | Flag.Urgent | Flag.Push;
        for (const [from, to] of [
          [0, 5],
          [5, 1400],
          [1400, 3000],
        ]) {
          guest.send({ flags, urgentPointer, payload: data.subarray(from, to) });
        }
        expect(guest.end.data.equals(data)).toBe(true);
        expect(guest.take().at(-1)).toMatchObject({ acknowledgment: 3_000, flags: Flag.Ack });
        expect(guest.end.seen & FlowEvent.Reset).toBe(0);
      },
    );

    test("that is announced before it comes is delivered in line, too", () => {
      const guest = connected();
      guest.send({ flags: Flag.Ack | Flag.Urgent, urgentPointer: 500 });
      guest.send({ flags: Flag.Ack, urgentPointer: 500, payload: pattern(100) });
      guest.send({ flags: Flag.Ack | Flag.Fin | Flag.Urgent, urgentPointer: 0xffff });
      expect(guest.end.data.equals(pattern(100))).toBe(true);
      expect(guest.end.seen & FlowEvent.Fin).toBeTruthy();
    });

    test("out of order, with wrong pointers, is put in order", () => {
      const guest = connected();
      const data = pattern(4_000);
      const flags = Flag.Ack | Flag.Urgent;
      for (const at of [3_000, 1_000, 2_000, 0]) {
        const payload = data.subarray(at, at + 1_000);
        guest.send({ flags, sequence: at, urgentPointer: 0xfff0 - at, payload });
      }
      expect(guest.end.data.equals(data)).toBe(true);
    });
  });

  describe("FIN", () => {
    /** Closes both ways, the host first, so that the stack is in TIME_WAIT. */
    function closedByHost(guest: HandmadeGuest): void {
      guest.end.stack.finish(guest.end.id);
      expect(guest.take().at(-1)).toMatchObject({ flags: Flag.Ack | Flag.Fin });
      guest.send({ flags: Flag.Ack });
      guest.send({ flags: Flag.Ack | Flag.Fin });
      guest.end.stack.release(guest.end.id);
      guest.take();
    }

    test("of both ends at once closes the flow", () => {
      const guest = connected();
      guest.end.stack.finish(guest.end.id);
      // Its FIN has not seen ours, nor has it seen our data.
      guest.send({ flags: Flag.Ack | Flag.Fin, acknowledgment: 0 });
      const [ours, answer] = guest.take();
      expect(ours).toMatchObject({ flags: Flag.Ack | Flag.Fin, sequence: 0 });
      expect(answer).toMatchObject({ acknowledgment: 1 });
      expect(guest.end.seen & FlowEvent.Closed).toBe(0);
      guest.send({ flags: Flag.Ack });
      expect(guest.end.seen & FlowEvent.Fin).toBeTruthy();
      expect(guest.end.seen & FlowEvent.Closed).toBeTruthy();
      guest.end.stack.release(guest.end.id);
      guest.pass(10_000);
      expect(guest.end.stack.statistics().flows).toBe(0);
      expect(guest.end.stack.tick()).toBe(false);
    });

    test("of both ends at once, with data in flight, loses no data", () => {
      const guest = connected();
      const [up, down] = [pattern(1_000), pattern(2_000)];
      guest.end.write(down);
      guest.end.stack.finish(guest.end.id);
      guest.send({ flags: Flag.Ack | Flag.Fin | Flag.Push, acknowledgment: 0, payload: up });
      const sent = Buffer.concat(guest.take().map(({ payload }) => payload));
      expect(sent.equals(down)).toBe(true);
      expect(guest.end.data.equals(up)).toBe(true);
      guest.send({ flags: Flag.Ack });
      expect(guest.end.seen & FlowEvent.Closed).toBeTruthy();
    });

    test.each([
      ["a higher", 5_000_000],
      ["a lower", 7],
    ])(
      "leaves a port that can be used again at once, with %s sequence number",
      (_which, initial) => {
        const guest = connected();
        closedByHost(guest);
        guest.end.seen = 0;
        guest.connect(MSS_1460, 64_000, initial);
        guest.send({ flags: Flag.Ack, payload: pattern(500) });
        expect(guest.end.data.equals(pattern(500))).toBe(true);
      },
    );

    test("is acknowledged again when the guest repeats it", () => {
      const guest = connected();
      closedByHost(guest);
      guest.send({ flags: Flag.Ack | Flag.Fin, sequence: 0 });
      expect(guest.take()).toMatchObject([{ flags: Flag.Ack, acknowledgment: 1, sequence: 1 }]);
    });
  });

  describe("RST", () => {
    test.each([
      ["at the next sequence number ends the flow", 0, true],
      ["elsewhere in the window does not (RFC 5961)", 1000, false],
      ["outside the window does not", 0x4000_0000, false],
    ])("%s", (_where, sequence, ends) => {
      const guest = connected();
      guest.send({ flags: Flag.Rst, sequence });
      expect((guest.end.seen & FlowEvent.Reset) !== 0).toBe(ends);
    });

    test.each([
      ["no data waits", 0, 0],
      ["the host has not taken its data", 30_000, 0],
      ["the guest has not acknowledged the host's data", 0, 500_000],
      ["both ends have data to take", 30_000, 500_000],
      ["the window to the guest is closed", 65_535, 0],
    ])("ends the flow and frees its memory when %s", (_what, up, down) => {
      const fresh = new HandmadeGuest(family);
      const before = fresh.end.stack.statistics().memoryInUse;
      const guest = connected(SCALED);
      guest.end.reading = false;
      for (let at = 0; at < up; at += 1_000) {
        guest.send({ flags: Flag.Ack, payload: pattern(Math.min(1_000, up - at)) });
      }
      writeAll(guest, pattern(down));
      guest.send({ flags: Flag.Rst });
      expect(guest.end.seen & FlowEvent.Reset).toBeTruthy();
      guest.end.stack.release(guest.end.id);
      expect(guest.end.stack.statistics()).toMatchObject({ flows: 0 });
      // Blocks of small objects, and the one for the next receive, stay.
      expect(guest.end.stack.statistics().memoryInUse - before).toBeLessThan(400_000);
    });

    test("of the stack has the sequence number that the guest expects", () => {
      const guest = connected();
      guest.end.write(pattern(3_000));
      guest.take();
      guest.end.stack.reset(guest.end.id);
      const [reset] = guest.take();
      expect(reset.flags & Flag.Rst).toBeTruthy();
      expect(reset.sequence).toBe(guest.received);
    });
  });

  test("a keep-alive probe is answered by an ACK", () => {
    const guest = connected();
    guest.send({ flags: Flag.Ack, sequence: -1 });
    expect(guest.take()).toMatchObject([{ flags: Flag.Ack, acknowledgment: 0 }]);
    // With one byte of what was acknowledged before, as old systems send it.
    guest.send({ flags: Flag.Ack, payload: pattern(10) });
    guest.take();
    guest.send({ flags: Flag.Ack, sequence: 9, payload: Buffer.of(0) });
    expect(guest.take()).toMatchObject([{ flags: Flag.Ack, acknowledgment: 10 }]);
    expect(guest.end.data.equals(pattern(10))).toBe(true);
    expect(guest.end.seen & FlowEvent.Reset).toBe(0);
  });

  describe("the MSS of the guest", () => {
    const fitting = { 4: 1460, 6: 1440 }[family];
    test.each([
      ["88, the minimum of Linux", [2, 4, 0, 88], 88],
      ["536", [2, 4, 2, 24], 536],
      ["the link's", [2, 4, fitting >> 8, fitting & 255], fitting],
      ["65,535, larger than the link", [2, 4, 255, 255], fitting],
      ["0, which is invalid", [2, 4, 0, 0], fitting],
      ["not given (RFC 9293 §3.7.1)", [], 536],
    ])("%s", (_what, options, size) => {
      const guest = connected(options);
      guest.end.write(pattern(5_000));
      const answers = guest.take();
      expect(answers.length).toBeGreaterThan(0);
      for (const { payload, segmentSize } of answers) {
        expect(segmentSize === 0 ? payload.length : segmentSize).toBeLessThanOrEqual(size);
      }
      expect(answers[0].segmentSize).toBe(size);
      expect(Buffer.concat(answers.map(({ payload }) => payload)).equals(pattern(5_000))).toBe(
        true,
      );
    });
  });

  describe("a path to the guest with a smaller MTU", () => {
    const headers = { 4: 40, 6: 60 }[family];

    test("makes segments smaller, and what is in flight is sent again", () => {
      const guest = connected();
      guest.end.write(pattern(5_000));
      guest.end.outbox.length = 0;
      expect(guest.updatePathMtu(0, 1300)).toBe(true);
      guest.end.write(pattern(5_000));
      const answers = guest.take();
      expect(answers[0].sequence).toBe(0);
      for (const { segmentSize } of answers) expect(segmentSize).toBe(1300 - headers);
      guest.send({ flags: Flag.Ack });
      expect(guest.received).toBe(10_000);
    });

    test.each([
      ["a sequence number that has not been sent", 5_000, 1300, 1500],
      ["a sequence number far away", 0x4000_0000, 1300, 1500],
      ["an MTU below the minimum of any link", 0, 68, { 4: 576, 6: 1280 }[family]],
      ["an MTU that does not limit the MSS", 0, 9000, 1500],
    ])("does not follow from a report about %s", (_what, sequence, told, mtu) => {
      const guest = connected([2, 4, 5, family === 4 ? 180 : 160]);
      guest.end.write(pattern(5_000));
      guest.updatePathMtu(sequence, told);
      guest.take();
      guest.send({ flags: Flag.Ack });
      guest.end.write(pattern(5_000));
      expect(guest.take()[0].segmentSize).toBe(mtu - headers);
    });
  });

  describe("without window scaling", () => {
    test("the stack offers none, and takes the guest's window as it is", () => {
      const guest = new HandmadeGuest(family);
      const { options } = guest.connect(MSS_1460, 64_000);
      expect(options.slice(0, 2)).toEqual([2, 4]);
      expect(options.slice(4)).not.toContain(3);
      const sent = writeAll(guest, pattern(200_000));
      const ends = guest.take().map(({ sequence, payload }) => sequence + payload.length);
      expect(Math.max(...ends)).toBeLessThanOrEqual(64_000);
      expect(sent).toBeGreaterThan(64_000);
    });

    test("data opens the window no further than 16 bits can express", () => {
      const guest = connected();
      for (let at = 0; at < 300_000; at += 1_000) {
        guest.send({ flags: Flag.Ack, payload: pattern(1_000) });
      }
      expect(guest.end.data.length).toBe(300_000);
      expect(guest.take().at(-1)?.window).toBeGreaterThan(32_000);
    });
  });

  describe("a guest that misuses its window", () => {
    /** Takes all that comes, and announces one window after the other. */
    function drain(guest: HandmadeGuest, windows: readonly number[], bytes: Buffer): Buffer {
      const got = Buffer.alloc(bytes.length);
      let written = 0;
      for (let round = 0; round < 3_000 && guest.received < bytes.length; round += 1) {
        if (written < bytes.length) written += writeAll(guest, bytes.subarray(written));
        for (const { sequence, payload } of guest.take()) payload.copy(got, sequence);
        guest.send({ flags: Flag.Ack, window: windows[round % windows.length] });
        guest.pass(100);
      }
      return got;
    }

    test.each([
      ["shrinks it and grows it again", [500, 10, 40, 2, 300]],
      ["closes it every other time", [0, 500]],
      ["closes it again after each segment", [500, 0, 0, 0]],
      ["opens it by a byte", [1, 200, 1]],
    ])("gets all data when it %s", (_how, windows) => {
      const guest = connected(SCALED, 64_000);
      const bytes = pattern(300_000);
      expect(drain(guest, windows, bytes).equals(bytes)).toBe(true);
      expect(guest.end.seen & FlowEvent.Reset).toBe(0);
    });

    test("is probed while it is closed, not flooded", () => {
      const guest = connected(SCALED, 0);
      guest.send({ flags: Flag.Ack, window: 0 });
      guest.end.write(pattern(10_000));
      guest.pass(60_000);
      const probes = guest.take();
      expect(probes.length).toBeGreaterThan(2);
      expect(probes.length).toBeLessThan(60);
      for (const { payload } of probes) expect(payload.length).toBeLessThanOrEqual(1);
      guest.send({ flags: Flag.Ack, window: 500 });
      guest.pass(2_000);
      guest.take();
      expect(guest.received).toBe(10_000);
    });

    test("and announces a gigabyte is not sent more than may be in flight", () => {
      const guest = new HandmadeGuest(family);
      guest.connect([...MSS_1460, 1, 3, 3, 14], 0xffff);
      guest.send({ flags: Flag.Ack, window: 0xffff });
      const bytes = pattern(8_000_000);
      let written = 0;
      for (let taken = 1; taken > 0 && written < bytes.length; written += taken) {
        taken = guest.end.write(bytes.subarray(written));
        // All is acknowledged at once, so that the congestion window is no limit.
        guest.take();
        if (written < 4_000_000) guest.send({ flags: Flag.Ack, window: 0xffff });
      }
      expect(written).toBeLessThanOrEqual(4_000_000 + 3 * 1024 * 1024);
      expect(guest.end.stack.statistics().memoryInUse).toBeLessThan(8 * 1024 * 1024);
    });

    test("and sends beyond the stack's window has the excess dropped", () => {
      const guest = connected();
      guest.end.reading = false;
      let at = 0;
      for (; at < 400_000; at += 1_000) {
        guest.send({ flags: Flag.Ack, sequence: at, payload: pattern(1_000) });
      }
      const last = guest.take().at(-1);
      expect(last?.window).toBe(0);
      expect(last?.acknowledgment).toBeLessThanOrEqual(0xffff);
      guest.end.reading = true;
      guest.end.read();
      expect(guest.end.data.length).toBe(last?.acknowledgment);
    });

    test("and acknowledges what was never sent is told what was", () => {
      const guest = connected();
      guest.end.write(pattern(1_000));
      guest.take();
      guest.send({ flags: Flag.Ack, acknowledgment: 0x2000_0000 });
      expect(guest.take().at(0)).toMatchObject({ flags: Flag.Ack, sequence: 1_000 });
      expect(guest.end.seen & FlowEvent.Reset).toBe(0);
      guest.send({ flags: Flag.Ack, payload: pattern(9) });
      expect(guest.end.data.equals(pattern(9))).toBe(true);
    });
  });
});
