import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { UserError } from "../../src/base/errors.js";
import { log } from "../../src/base/log.js";
import type { PublishOption } from "../../src/commandline/publish-option.js";
import type { Guest } from "../../src/guest/guest.js";
import { publishPorts } from "../../src/host/ports/publishing.js";
import { type GuestSpec, type ServedGuest, serveGuest } from "../../src/host/serve-guest.js";
import { Loop } from "../../src/loop/loop.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { openSocket } from "../../src/sys/sockets/socket.js";
import { address } from "../base/addresses.js";
import { config, PLAN4 } from "../services/frames.js";

const LOOPBACK = address("127.0.0.1");

let loop: Loop;
let tap: number;
beforeEach(() => {
  loop = new Loop();
  tap = openSocket(4, Socket.Datagram);
});
afterEach(() => loop.stop());

function serve(changes: Partial<GuestSpec>): ServedGuest {
  return serveGuest(loop, {
    tap: { fd: tap, vnetHeader: true },
    tapName: "tap0",
    pid: null,
    config: config({ plans: [PLAN4] }),
    log,
    api: { mostClients: 1, isOpenInside: false },
    publish: () => undefined,
    onGone: () => undefined,
    ...changes,
  });
}

function tcp(host: string, guestPort: number): PublishOption {
  return { protocol: "tcp", host: address(host), hostPort: 0, guestPort, count: 1 };
}

function publish(guest: Guest, ...ports: PublishOption[]): void {
  publishPorts(guest, ports, false, () => undefined);
}

test("close() ends the API and the ports, and closes the TAP", () => {
  const ended: string[] = [];
  const served = serve({ publish: (guest) => publish(guest, tcp("127.0.0.1", 80)) });
  served.serveApi((_loop, subject, { mostClients }) => {
    expect(subject).toMatchObject({ guest: served.guest, tap: "tap0", pid: null });
    expect(mostClients).toBe(1);
    return () => ended.push("API");
  });
  const [{ hostPort }] = served.guest.forwards.rules;
  served.close();
  expect(ended).toEqual(["API"]);
  expect(native.isOpenFd(tap)).toBe(false);
  tap = openSocket(4, Socket.Datagram);
  const again = { ...tcp("127.0.0.1", 80), hostPort };
  const { guest } = serve({ publish: (made) => publish(made, again) });
  expect(guest.forwards.rules).toMatchObject([{ hostPort }]);
});

test("a port that cannot be published leaves no guest and no TAP", () => {
  const refused = tcp("192.0.2.1", 80);
  expect(() => serve({ publish: (guest) => publish(guest, refused) })).toThrow(UserError);
  expect(native.isOpenFd(tap)).toBe(false);
});

test("a guest that cannot be made leaves no TAP", () => {
  vi.spyOn(loop, "addGuest").mockImplementation(() => {
    throw new RangeError("no descriptors are left");
  });
  expect(() => serve({})).toThrow(RangeError);
  expect(native.isOpenFd(tap)).toBe(false);
});

test("ports are published all or none, beside existing ones", () => {
  const { guest } = serve({ publish: (made) => publish(made, tcp("127.0.0.1", 80)) });
  expect(() => publish(guest, tcp("127.0.0.1", 81), tcp("192.0.2.1", 82))).toThrow(UserError);
  expect(guest.forwards.rules).toMatchObject([{ host: LOOPBACK, guestPort: 80 }]);
});
