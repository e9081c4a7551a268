import { describe, expect, it } from "vitest";
import type { Address } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import { BROADCAST_MAC } from "../../src/base/mac.js";
import type { GuestConfig } from "../../src/config/guest-config.js";
import { DhcpService } from "../../src/services/dhcp.js";
import type { Verdict } from "../../src/services/service.js";
import { type DhcpMessage, DhcpOption, DhcpType } from "../../src/wire/dhcp.js";
import type { Frame } from "../../src/wire/frame.js";
import { address } from "../base/addresses.js";
import { config, dnsConfig, GATEWAY_MAC, GUEST_MAC, PLAN4, replied } from "./frames.js";
import { asked, dhcpIn } from "./requests.js";

const ANY = address("0.0.0.0");
const BROADCAST = address("255.255.255.255");
const FIRST = PLAN4.dhcpBegin;

function serve(service: DhcpService, frame: Frame, now = 0): Verdict {
  expect(service.claims(frame)).toBe(true);
  return service.handle(frame, now);
}

/** The reply's frame and message. */
function answered(verdict: Verdict): { frame: Frame; message: DhcpMessage; type: number } {
  const frame = replied(verdict);
  const message = dhcpIn(frame);
  return { frame, message, type: message.options.get(DhcpOption.MessageType)?.[0] ?? 0 };
}

const requests = (target: Address) => [DhcpOption.RequestedAddress, target.toBytes()] as const;
const serverId = [DhcpOption.ServerId, PLAN4.gateway.toBytes()] as const;

function service(changes: Partial<GuestConfig> = {}): DhcpService {
  return new DhcpService(PLAN4, config(changes));
}

/** The options of an answer as text, addresses and names readable. */
function describeOptions(message: DhcpMessage): Record<number, string> {
  return Object.fromEntries(
    [...message.options].map(([code, value]) => [code, Buffer.from(value).toString("hex")]),
  );
}

describe("an offer", () => {
  const { frame, message, type } = answered(serve(service(), asked({ type: DhcpType.Discover })));

  it("goes from the gateway to the client, which has no address yet", () => {
    expect(type).toBe(DhcpType.Offer);
    expect(frame).toMatchObject({
      sourceMac: GATEWAY_MAC,
      destinationMac: GUEST_MAC,
      source: PLAN4.gateway,
      destination: FIRST,
      sourcePort: 67,
      destinationPort: 68,
    });
    expect(message).toMatchObject({
      operation: 2,
      transaction: 0x1234_5678,
      yourAddress: FIRST,
      clientAddress: ANY,
      clientMac: GUEST_MAC,
    });
  });

  it("describes the network", () => {
    expect(describeOptions(message)).toEqual({
      [DhcpOption.MessageType]: "02",
      [DhcpOption.ServerId]: "0a000202",
      [DhcpOption.LeaseTime]: "00015180",
      [DhcpOption.RenewalTime]: "0000a8c0",
      [DhcpOption.RebindingTime]: "00012750",
      [DhcpOption.SubnetMask]: "ffffff00",
      [DhcpOption.Router]: "0a000202",
      [DhcpOption.Broadcast]: "0a0002ff",
      [DhcpOption.InterfaceMtu]: "05dc",
      [DhcpOption.DnsServers]: "0a000203",
    });
  });

  it("is broadcast if the client asks for that", () => {
    const ask = asked({ type: DhcpType.Discover, changes: { broadcast: true } });
    const offer = answered(serve(service(), ask));
    expect(offer.frame).toMatchObject({ destinationMac: BROADCAST_MAC, destination: BROADCAST });
    expect(offer.message.yourAddress).toEqual(FIRST);
  });

  it("has names if there are any", () => {
    const named = service({
      hostname: "box",
      dns: dnsConfig({ search: ["example.org", "b.example"] }),
    });
    const { options } = answered(serve(named, asked({ type: DhcpType.Discover }))).message;
    expect(Buffer.from(options.get(DhcpOption.Hostname) ?? []).toString()).toBe("box");
    expect(Buffer.from(options.get(DhcpOption.DomainName) ?? []).toString()).toBe("example.org");
    expect(Buffer.from(options.get(DhcpOption.DomainSearch) ?? []).toString("latin1")).toBe(
      "\x07example\x03org\x00\x01b\x07example\x00",
    );
    const nameless = answered(serve(service({ dns: null }), asked({ type: DhcpType.Discover })));
    expect(nameless.message.options.has(DhcpOption.DnsServers)).toBe(false);
  });

  it("cuts a search list that does not fit the client", () => {
    const search = Array.from({ length: 30 }, (_, index) => `department${index}.example.org`);
    const long = service({ dns: dnsConfig({ search }) });
    const names = ({ message }: { message: DhcpMessage }) =>
      message.options.get(DhcpOption.DomainSearch)?.length;
    // Each name has 25 or 26 bytes.
    expect(names(answered(serve(long, asked({ type: DhcpType.Discover }))))).toBe(5 * 25);
    const options = [[DhcpOption.MaximumSize, Uint8Array.of(5, 0xdc)] as const];
    const roomy = answered(serve(long, asked({ type: DhcpType.Discover, options })));
    expect(names(roomy)).toBe(10 * 25 + 20 * 26);
  });

  it("has the options that the client asks for, in its order, and its own identifier", () => {
    const options = [
      [DhcpOption.ParameterRequest, Uint8Array.of(DhcpOption.Router, 42, DhcpOption.SubnetMask)],
      [DhcpOption.ClientId, Uint8Array.of(1, 2, 3)],
    ] as const;
    const offer = answered(serve(service(), asked({ type: DhcpType.Discover, options })));
    expect([...offer.message.options.keys()]).toEqual([53, 54, 61, 51, 58, 59, 3, 1]);
    expect(offer.message.options.get(DhcpOption.ClientId)).toEqual(Uint8Array.of(1, 2, 3));
  });

  it("is never the guest's configured address", () => {
    const options = [requests(PLAN4.guest)];
    const offer = answered(serve(service(), asked({ type: DhcpType.Discover, options })));
    expect(offer.message.yourAddress).toEqual(FIRST);
  });

  it("fails if the pool is used up", () => {
    const full = service();
    const ask = (id: number) =>
      asked({ type: DhcpType.Discover, options: [[DhcpOption.ClientId, Uint8Array.of(0, id)]] });
    const offers = Array.from(
      { length: 16 },
      (_, id) => answered(serve(full, ask(id))).message.yourAddress,
    );
    expect(new Set(offers.map(String)).size).toBe(16);
    expect(offers.at(-1)).toEqual(PLAN4.dhcpEnd);
    expect(serve(full, ask(16))).toEqual({ kind: "drop", reason: DropReason.LimitQuota });
  });
});

describe("a request", () => {
  const renewing = { clientAddress: FIRST };

  it.each([
    ["selecting", { options: [serverId, requests(FIRST)] }],
    ["after a reboot", { options: [requests(FIRST)] }],
    ["renewing", { changes: renewing, destination: PLAN4.gateway }],
    ["rebinding", { changes: renewing }],
  ] as const)("%s is acknowledged", (_, ask) => {
    const server = service();
    serve(server, asked({ type: DhcpType.Discover }));
    const { type, message, frame } = answered(
      serve(server, asked({ type: DhcpType.Request, ...ask })),
    );
    expect(type).toBe(DhcpType.Acknowledge);
    expect(message.yourAddress).toEqual(FIRST);
    expect(frame).toMatchObject({ destination: FIRST, destinationMac: GUEST_MAC });
  });

  it.each([
    ["of another network", { options: [requests(address("192.0.2.15"))] }],
    ["of the guest's configured address", { options: [requests(PLAN4.guest)] }],
    ["of nobody's", {}],
    ["of another client's", { options: [requests(FIRST)] }],
    ["of another client's, renewing", { changes: renewing, destination: PLAN4.gateway }],
  ])("%s is refused by broadcast", (_, ask) => {
    const server = service();
    const other = [[DhcpOption.ClientId, Uint8Array.of(9)] as const];
    serve(server, asked({ type: DhcpType.Request, options: [...other, requests(FIRST)] }));
    const { type, message, frame } = answered(
      serve(server, asked({ type: DhcpType.Request, ...ask })),
    );
    expect(type).toBe(DhcpType.Refuse);
    expect(message.yourAddress).toEqual(ANY);
    expect(frame).toMatchObject({ destination: BROADCAST, destinationMac: BROADCAST_MAC });
    expect([...message.options.keys()]).toEqual([53, 54]);
  });

  it("to another server is ignored", () => {
    const options = [[DhcpOption.ServerId, PLAN4.dns.toBytes()] as const, requests(FIRST)];
    const verdict = serve(service(), asked({ type: DhcpType.Request, options }));
    expect(verdict).toEqual({ kind: "drop", reason: DropReason.DhcpNotForUs });
  });
});

describe("other messages", () => {
  it("release frees the address", () => {
    const server = service();
    serve(server, asked({ type: DhcpType.Request, options: [requests(FIRST)] }));
    const other = [[DhcpOption.ClientId, Uint8Array.of(9)] as const, requests(FIRST)];
    const claim = asked({ type: DhcpType.Request, options: other });
    expect(answered(serve(server, claim)).type).toBe(DhcpType.Refuse);
    const release = asked({ type: DhcpType.Release, changes: { clientAddress: FIRST } });
    expect(serve(server, release, 1)).toEqual({ kind: "done" });
    expect(answered(serve(server, claim, 2)).type).toBe(DhcpType.Acknowledge);
  });

  it("after decline another address is offered", () => {
    const server = service();
    serve(server, asked({ type: DhcpType.Request, options: [requests(FIRST)] }));
    serve(server, asked({ type: DhcpType.Decline, options: [serverId, requests(FIRST)] }));
    const offer = answered(serve(server, asked({ type: DhcpType.Discover })));
    expect(offer.message.yourAddress).toEqual(FIRST.plus(1));
  });

  it("inform is answered without an address, at the client's own", () => {
    const changes = { clientAddress: PLAN4.guest };
    const { type, message, frame } = answered(
      serve(service(), asked({ type: DhcpType.Inform, changes })),
    );
    expect(type).toBe(DhcpType.Acknowledge);
    expect(message.yourAddress).toEqual(ANY);
    expect(frame.destination).toEqual(PLAN4.guest);
    expect(message.options.has(DhcpOption.LeaseTime)).toBe(false);
    expect(message.options.has(DhcpOption.DnsServers)).toBe(true);
  });

  it.each([
    ["a relay's", { changes: { relayAddress: PLAN4.guest } }, DropReason.DhcpNotForUs],
    ["a server's", { changes: { operation: 2 } }, DropReason.DhcpMalformed],
    ["an offer", { type: DhcpType.Offer }, DropReason.DhcpMalformed],
  ])("%s is dropped", (_, ask, reason) => {
    const frame = asked({ type: DhcpType.Discover, ...ask });
    expect(serve(service(), frame)).toEqual({ kind: "drop", reason });
  });

  it("to other addresses are not claimed", () => {
    const frame = asked({ type: DhcpType.Discover, destination: address("198.51.100.1") });
    expect(service().claims(frame)).toBe(false);
  });
});
