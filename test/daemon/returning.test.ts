import * as v from "valibot";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Member, newMember } from "../../src/daemon/member.ts";
import { Returning } from "../../src/daemon/returning.ts";
import { methods } from "../../src/rpc/messages.ts";

// For how long the daemon's answers wait for runs that joined the daemon before.

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const namespace = { netns: "/proc/7/ns/net", userns: null, id: "1:2", pid: 7, started: "9" };

function member(name: string, isAwaited: boolean): Member {
  const spec = v.parse(methods["member.join"], { name, keepsTaps: true, attachments: [] });
  const made = newMember(spec, [], () => {
    throw new Error("no host is named");
  });
  return Object.assign(made, { awaitedIn: isAwaited ? namespace : null });
}

/** Whether answers wait no longer. */
async function isOver(returning: Returning): Promise<boolean> {
  let result = false;
  void returning.over.then(() => {
    result = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return result;
}

test("nobody waits for members that are there", async () => {
  expect(await isOver(new Returning([member("here", false)]))).toBe(true);
});

test("all that are awaited are waited for", async () => {
  const [one, two] = [member("one", true), member("two", true)];
  const returning = new Returning([one, two, member("here", false)]);
  expect([one.id, "other", null].map((id) => returning.has(id))).toEqual([true, false, false]);
  returning.remove(one.id);
  returning.remove(one.id);
  expect(await isOver(returning)).toBe(false);
  returning.remove(two.id);
  expect(await isOver(returning)).toBe(true);
});

test("a run that does not come back is not waited for without end", async () => {
  const late = member("late", true);
  const returning = new Returning([late]);
  expect(await isOver(returning)).toBe(false);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await isOver(returning)).toBe(true);
  expect(returning.has(late.id)).toBe(true);
});
