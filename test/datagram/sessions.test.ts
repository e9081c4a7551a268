import { beforeEach, describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { type Session, SessionTable } from "../../src/datagram/sessions.js";
import type { PublishedRule } from "../../src/nat/published-port.js";
import { Frame } from "../../src/wire/frame.js";

const guest = Address.parse("10.0.2.100") as Address;
const client = Address.parse("203.0.113.1") as Address;
const gateway = Address.parse("10.0.2.2") as Address;
const host = Address.parse("192.0.2.1") as Address;

const rule: PublishedRule = {
  id: 1,
  protocol: "udp",
  host,
  hostPort: 5353,
  guest,
  guestPort: 53,
};

interface Holder {
  readonly guest: Address;
  readonly guestPort: number;
  readonly session: Session;
}

let table: SessionTable<Holder>;

beforeEach(() => {
  table = new SessionTable();
});

function add(seen: Address, seenPort: number, clientPort: number): Holder {
  const session = { rule, asked: host, listener: -1, client, clientPort, scope: 0, seen, seenPort };
  const holder = { guest, guestPort: rule.guestPort, session };
  table.add(holder, session);
  return holder;
}

/** A datagram of the guest's published port. */
function answerTo(destination: Address, destinationPort: number): Frame {
  const frame = new Frame(new Uint8Array(0));
  frame.source = guest;
  frame.sourcePort = rule.guestPort;
  frame.destination = destination;
  frame.destinationPort = destinationPort;
  return frame;
}

describe("a session", () => {
  it("is found by what the guest sees of its client", () => {
    const own = add(client, 4000, 4000);
    const asGateway = add(gateway, 50_000, 4001);
    expect(table.find(answerTo(client, 4000))).toBe(own);
    expect(table.find(answerTo(gateway, 50_000))).toBe(asGateway);
    expect(table.find(answerTo(client, 4001))).toBeNull();
    expect(table.find(answerTo(host, 4000))).toBeNull();
    const frame = answerTo(client, 4000);
    frame.sourcePort = 54;
    expect(table.find(frame)).toBeNull();
  });

  it("is found by its client, the port and the address that the client sent to", () => {
    const holder = add(gateway, 50_000, 4000);
    const { session } = holder;
    expect(table.ofClient(session)).toBe(holder);
    expect(table.ofClient({ ...session, clientPort: 4001 })).toBeNull();
    expect(table.ofClient({ ...session, asked: gateway })).toBeNull();
    expect(table.ofClient({ ...session, scope: 1 })).toBeNull();
    expect(table.ofClient({ ...session, rule: { ...rule, id: 2 } })).toBeNull();
  });

  it("is not found when it has ended", () => {
    const [first, second] = [add(client, 4000, 4000), add(gateway, 50_000, 4001)];
    table.remove(first, first.session);
    expect(table.find(answerTo(client, 4000))).toBeNull();
    expect(table.ofClient(first.session)).toBeNull();
    expect(table.isSeen(rule, client, 4000)).toBe(false);
    expect(table.find(answerTo(gateway, 50_000))).toBe(second);
    expect(table.isSeen(rule, gateway, 50_000)).toBe(true);
  });
});
