import { afterEach, describe, expect, test } from "vitest";
import { Prefix } from "../../src/base/address.ts";
import { UserError } from "../../src/base/errors.ts";
import { Attachment } from "../../src/daemon/attachment.ts";
import { type Member, newMember, reserve } from "../../src/daemon/member.ts";
import { Network } from "../../src/daemon/network.ts";
import type { AttachmentEvents } from "../../src/daemon/workers/plane.ts";
import { checkParams } from "../../src/rpc/messages.ts";
import { native } from "../../src/sys/native.ts";

/** What a thread does is up to the test. */
interface Serving {
  readonly up: PromiseWithResolvers<void>;
  readonly onGone: AttachmentEvents["onGone"];
  readonly detached: PromiseWithResolvers<void>;
  isDrained: boolean | null;
}

/** An attachment with what it asked its context for. */
interface Fixture {
  readonly network: Network;
  readonly member: Member;
  readonly attachment: Attachment;
  readonly servings: Serving[];
  /** Whose names the threads know. */
  readonly named: Set<string>;
  readonly events: string[];
}

const taps: number[] = [];
afterEach(() => {
  for (const tap of taps.splice(0)) native.close(tap);
});

/** A handle that represents a TAP. */
function aTap(): number {
  const tap = native.copyFd(2);
  taps.push(tap);
  return tap;
}

function makeNetwork(): Network {
  const prefix = Prefix.parse("10.89.0.0/24");
  return new Network({
    id: "a".repeat(64),
    name: "web",
    created: 0,
    subnets: [{ prefix, gateway: prefix.address.plus(1), range: prefix }],
    internal: false,
    mtu: 1500,
    labels: {},
    options: {},
    carriage: null,
  });
}

function attached(stays: boolean): Fixture {
  const spec = checkParams("member.join", { name: "db", stays, attachments: [{ network: "web" }] });
  if (typeof spec === "string") throw new Error(spec);
  const network = makeNetwork();
  const reach = { plans: [] };
  const member = newMember(spec, [], () => reach);
  const servings: Serving[] = [];
  const named = new Set<string>();
  const events: string[] = [];
  const [wanted] = spec.attachments;
  const context = {
    plane: {
      attach: (_config: object, { onGone }: AttachmentEvents) => {
        const up = Promise.withResolvers<void>();
        const detached = Promise.withResolvers<void>();
        const serving: Serving = { up, onGone, detached, isDrained: null };
        const number = servings.push(serving);
        const detach = (isDrained: boolean) => {
          serving.isDrained = isDrained;
          return detached.promise;
        };
        return {
          number,
          isUp: up.promise,
          publish: async () => [],
          serveApi: async () => {},
          detach,
        };
      },
      learn: (key: string) => void named.add(key),
      forget: (key: string) => void named.delete(key),
    },
    store: {
      keep: () => void events.push("TAP kept"),
      drop: () => void events.push("TAP dropped"),
    },
    onEnded: (_ended: Attachment, isLost: boolean) => void events.push(`ended ${isLost}`),
    onServedAgain: async () => void events.push("served again"),
    onPorts: () => undefined,
  };
  const attachment = new Attachment(context, member, reserve(network, member, wanted));
  return { network, member, attachment, servings, named, events };
}

/** Has it served. */
async function serve({ attachment, servings }: Fixture): Promise<Serving> {
  const done = attachment.attach("eth0", aTap());
  const serving = servings.at(-1);
  if (serving === undefined) throw new Error("no thread was asked");
  serving.up.resolve();
  await done;
  return serving;
}

/** Lets promises settle. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("an attachment", () => {
  test("has an address before it is served, and its names are known from then on", async () => {
    const fixture = attached(false);
    const { attachment, named } = fixture;
    expect(attachment.served).toBeNull();
    expect(attachment.given).toMatchObject({
      network: "web",
      ifname: null,
      addresses: [{ address: "10.89.0.2", subnet: "10.89.0.0/24", gateway: "10.89.0.1" }],
    });
    expect(named.size).toBe(0);
    await serve(fixture);
    expect(attachment.served?.number).toBe(1);
    expect(attachment.ifname).toBe("eth0");
    expect(named.size).toBe(1);
  });

  test("is reserved again after a refusal, and may be attached again", async () => {
    const fixture = attached(false);
    const { attachment, servings, named } = fixture;
    const refused = attachment.attach("eth0", aTap());
    servings[0].up.reject(new UserError("not today"));
    await expect(refused).rejects.toThrow("not today");
    expect(attachment.served).toBeNull();
    expect(named.size).toBe(0);
    await serve(fixture);
    expect(attachment.served?.number).toBe(2);
  });

  test("that is reserved releases its address when it ends", () => {
    const { attachment, network } = attached(false);
    expect(network.population).toBe(1);
    void attachment.end(true);
    expect(network.population).toBe(0);
  });

  test("releases its address and its names at once when it ends", async () => {
    const fixture = attached(false);
    const { isDrained } = await serve(fixture);
    expect(isDrained).toBeNull();
    void fixture.attachment.end(false);
    expect(fixture.servings[0].isDrained).toBe(false);
    expect(fixture.network.population).toBe(0);
    expect(fixture.named.size).toBe(0);
  });

  test("that is drained keeps its address until the last data is passed on", async () => {
    const fixture = attached(false);
    const serving = await serve(fixture);
    void fixture.attachment.end(true);
    expect(serving.isDrained).toBe(true);
    expect(fixture.named.size).toBe(0);
    await settled();
    expect(fixture.network.population).toBe(1);
    serving.detached.resolve();
    await settled();
    expect(fixture.network.population).toBe(0);
  });

  test("whose client has its TAP ends with its thread", async () => {
    const fixture = attached(false);
    const { onGone } = await serve(fixture);
    onGone("its thread has ended", true);
    expect(fixture.events).toEqual(["ended true"]);
    expect(fixture.servings).toHaveLength(1);
  });

  test("whose TAP fails ends, even if the daemon has the TAP", async () => {
    const fixture = attached(true);
    const { onGone } = await serve(fixture);
    onGone("its TAP is gone", false);
    expect(fixture.events).toEqual(["TAP kept", "ended false"]);
    expect(fixture.servings).toHaveLength(1);
  });

  test("of a member that stays is served again three times when its thread dies", async () => {
    const fixture = attached(true);
    await serve(fixture);
    for (let loss = 1; loss <= 3; loss += 1) {
      fixture.servings.at(-1)?.onGone("its thread has ended", true);
      fixture.servings.at(-1)?.up.resolve();
      await settled();
      expect(fixture.attachment.served?.number).toBe(1 + loss);
      expect(fixture.named).toEqual(new Set([`name ${1 + loss}`]));
    }
    fixture.servings.at(-1)?.onGone("its thread has ended", true);
    const again = "served again";
    expect(fixture.events).toEqual(["TAP kept", again, again, again, "ended true"]);
  });

  test("that is refused when its thread has died ends", async () => {
    const fixture = attached(true);
    await serve(fixture);
    fixture.servings[0].onGone("its thread has ended", true);
    fixture.servings[1].up.reject(new UserError("not today"));
    await settled();
    expect(fixture.events).toEqual(["TAP kept", "ended false"]);
    expect(fixture.attachment.served).toBeNull();
  });

  test("closes the TAP that it kept once, even if the next cannot be duplicated", async () => {
    const fixture = attached(true);
    const { attachment, servings, events } = fixture;
    const refused = attachment.attach("eth0", aTap());
    servings[0].up.reject(new UserError("not today"));
    await expect(refused).rejects.toThrow("not today");
    await expect(attachment.attach("eth0", -1)).rejects.toThrow("no file descriptor is left");
    void attachment.end(false);
    expect(events).toEqual(["TAP kept", "TAP dropped"]);
  });
});
