import { describe, expect, it } from "vitest";
import type { Address } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import { Dhcpv6Service } from "../../src/services/dhcpv6.js";
import type { Verdict } from "../../src/services/service.js";
import {
  composeAssociatedAddress,
  composeAssociation,
  type Dhcpv6Message,
  Dhcpv6Option,
  type Dhcpv6OptionValue,
  Dhcpv6Status,
  Dhcpv6Type,
  parseAssociatedAddress,
  parseAssociation,
} from "../../src/wire/dhcpv6.js";
import type { Frame } from "../../src/wire/frame.js";
import { address } from "../base/addresses.js";
import { config, dnsConfig, GATEWAY_MAC, GUEST_MAC, PLAN6, replied } from "./frames.js";
import { askedV6 as asked, dhcpv6In } from "./requests.js";

const CLIENT = { code: Dhcpv6Option.ClientId, value: Uint8Array.of(0, 3, 0, 1, 9) };
const SERVER_DUID = Uint8Array.of(0, 3, 0, 1, 0x52, 0x55, 10, 0, 2, 2);
const SERVER = { code: Dhcpv6Option.ServerId, value: SERVER_DUID };
const FIRST = PLAN6.dhcpBegin;
const GUEST = address("fe80::64");

function association(...addresses: Address[]): Dhcpv6OptionValue {
  const options = addresses.map((each) => ({
    code: Dhcpv6Option.Address,
    value: composeAssociatedAddress({ address: each, preferredLifetime: 0, validLifetime: 0 }),
  }));
  const value = composeAssociation({ id: 7, renewalTime: 0, rebindingTime: 0, options });
  return { code: Dhcpv6Option.IdentityAssociation, value };
}

function serve(service: Dhcpv6Service, frame: Frame, now = 0): Verdict {
  expect(service.claims(frame)).toBe(true);
  return service.handle(frame, now);
}

function answered(verdict: Verdict): Dhcpv6Message {
  const frame = replied(verdict);
  expect(frame).toMatchObject({
    sourceMac: GATEWAY_MAC,
    destinationMac: GUEST_MAC,
    source: PLAN6.router,
    destination: GUEST,
    sourcePort: 547,
    destinationPort: 546,
  });
  const message = dhcpv6In(frame);
  expect(message.transaction).toBe(42);
  return message;
}

function optionIn({ options }: Pick<Dhcpv6Message, "options">, code: number): Uint8Array | null {
  return options.find((option) => option.code === code)?.value ?? null;
}

/** Addresses in the answer's association, with their valid lifetimes. */
function granted(message: Dhcpv6Message): string[] {
  const value = optionIn(message, Dhcpv6Option.IdentityAssociation);
  const found = value === null ? null : parseAssociation(value);
  if (found === null) throw new Error("no association");
  expect(found.id).toBe(7);
  return found.options.flatMap((option) => {
    const associated = parseAssociatedAddress(option.value);
    return associated === null ? [] : [`${associated.address} ${associated.validLifetime}`];
  });
}

function service(): Dhcpv6Service {
  return new Dhcpv6Service(PLAN6, config());
}

describe("DHCPv6", () => {
  it("advertises an address with the highest preference", () => {
    const message = answered(serve(service(), asked(Dhcpv6Type.Solicit, CLIENT, association())));
    expect(message.type).toBe(Dhcpv6Type.Advertise);
    expect(granted(message)).toEqual(["fd00::f 86400"]);
    expect(optionIn(message, Dhcpv6Option.Preference)).toEqual(Uint8Array.of(255));
    expect(optionIn(message, Dhcpv6Option.ServerId)).toEqual(SERVER_DUID);
    expect(optionIn(message, Dhcpv6Option.ClientId)).toEqual(CLIENT.value);
  });

  it("commits at once on request", () => {
    const rapid = { code: Dhcpv6Option.RapidCommit, value: new Uint8Array() };
    const frame = asked(Dhcpv6Type.Solicit, CLIENT, rapid, association());
    const message = answered(serve(service(), frame));
    expect(message.type).toBe(Dhcpv6Type.Reply);
    expect(optionIn(message, Dhcpv6Option.RapidCommit)).not.toBeNull();
    expect(granted(message)).toEqual(["fd00::f 86400"]);
  });

  it.each([
    ["request", Dhcpv6Type.Request, [SERVER]],
    ["renew", Dhcpv6Type.Renew, [SERVER]],
    ["rebind", Dhcpv6Type.Rebind, []],
  ])("grants the address of a %s", (_, type, server) => {
    const frame = asked(type, CLIENT, ...server, association(FIRST));
    expect(granted(answered(serve(service(), frame)))).toEqual(["fd00::f 86400"]);
  });

  it("reports that an address cannot be kept", () => {
    const frame = asked(Dhcpv6Type.Renew, CLIENT, SERVER, association(PLAN6.guest));
    expect(granted(answered(serve(service(), frame)))).toEqual(["fd00::f 86400", "fd00::64 0"]);
  });

  it("reports that no address is left", () => {
    const full = service();
    const ask = (id: number) =>
      asked(
        Dhcpv6Type.Solicit,
        { code: Dhcpv6Option.ClientId, value: Uint8Array.of(id) },
        association(),
      );
    for (let id = 0; id < 16; id += 1) granted(answered(serve(full, ask(id))));
    const message = answered(serve(full, ask(16)));
    const value = optionIn(message, Dhcpv6Option.IdentityAssociation) ?? new Uint8Array();
    const status = optionIn(parseAssociation(value) ?? { options: [] }, Dhcpv6Option.StatusCode);
    expect(status).toEqual(Uint8Array.of(0, Dhcpv6Status.NoAddressAvailable));
  });

  it.each([
    ["on this link", FIRST, Dhcpv6Status.Success],
    ["of another link", address("2001:db8::1"), Dhcpv6Status.NotOnLink],
  ])("confirms addresses: %s", (_, target, status) => {
    const message = answered(
      serve(service(), asked(Dhcpv6Type.Confirm, CLIENT, association(target))),
    );
    expect(optionIn(message, Dhcpv6Option.StatusCode)).toEqual(Uint8Array.of(0, status));
  });

  it.each([
    ["released", Dhcpv6Type.Release, "fd00::f 86400"],
    ["declined", Dhcpv6Type.Decline, "fd00::10 86400"],
  ])("gives the next client after the address was %s", (_, type, next) => {
    const server = service();
    serve(server, asked(Dhcpv6Type.Request, CLIENT, SERVER, association(FIRST)));
    const frame = asked(type, CLIENT, SERVER, association(FIRST));
    const message = answered(serve(server, frame, 1));
    expect(optionIn(message, Dhcpv6Option.StatusCode)).toEqual(Uint8Array.of(0, 0));
    const other = { code: Dhcpv6Option.ClientId, value: Uint8Array.of(8) };
    const claim = asked(Dhcpv6Type.Request, other, SERVER, association(FIRST));
    expect(granted(answered(serve(server, claim, 2)))[0]).toBe(next);
  });

  it("gives the requested information", () => {
    const dns = dnsConfig({ search: ["example.org"] });
    const informed = new Dhcpv6Service(PLAN6, config({ dns }));
    const request = { code: Dhcpv6Option.OptionRequest, value: Uint8Array.of(0, 23, 0, 24) };
    const message = answered(serve(informed, asked(Dhcpv6Type.InformationRequest, request)));
    expect(message.type).toBe(Dhcpv6Type.Reply);
    const [server, ...names] = message.options;
    expect(server?.code).toBe(Dhcpv6Option.ServerId);
    expect(names.map(({ code }) => code)).toEqual([23, 24]);
    expect(Buffer.from(names[0]?.value ?? []).toString("hex")).toBe(
      "fd000000000000000000000000000003",
    );
    const unasked = answered(serve(informed, asked(Dhcpv6Type.InformationRequest)));
    expect(unasked.options).toHaveLength(1);
  });

  it.each([
    ["without a client", asked(Dhcpv6Type.Solicit, association()), DropReason.DhcpMalformed],
    ["of a server", asked(Dhcpv6Type.Advertise, CLIENT), DropReason.DhcpMalformed],
    ["without the server it needs", asked(Dhcpv6Type.Renew, CLIENT), DropReason.DhcpNotForUs],
    [
      "to another server",
      asked(Dhcpv6Type.Request, CLIENT, { ...SERVER, value: Uint8Array.of(1) }),
      DropReason.DhcpNotForUs,
    ],
  ])("drops a message %s", (_, frame, reason) => {
    expect(serve(service(), frame)).toEqual({ kind: "drop", reason });
  });
});
