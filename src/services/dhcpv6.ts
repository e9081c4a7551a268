import { Address, includesAddress } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import { type Mac, writeMac } from "../base/mac.js";
import { type AddressPlan, ownAddresses } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import { HARDWARE_ETHERNET } from "../wire/arp.js";
import { readU16, writeU16 } from "../wire/bytes.js";
import { composeDatagram } from "../wire/datagram.js";
import {
  composeAssociatedAddress,
  composeAssociation,
  composeDhcpv6,
  type Dhcpv6Message,
  Dhcpv6Option,
  type Dhcpv6OptionValue,
  Dhcpv6Port,
  Dhcpv6Status,
  Dhcpv6Type,
  type IdentityAssociation,
  parseAssociatedAddress,
  parseAssociation,
  parseDhcpv6,
} from "../wire/dhcpv6.js";
import { encodeDomainNames } from "../wire/domain-names.js";
import type { Frame } from "../wire/frame.js";
import { IpProtocol } from "../wire/ip.js";
import { LeasePool, PREFERRED_LIFETIME, VALID_LIFETIME } from "./leases.js";
import { drop, type Service, type Verdict } from "./service.js";

/** In seconds, as RFC 8415 §21.4 recommends. */
const RENEWAL_TIME = PREFERRED_LIFETIME * 0.5;
const REBINDING_TIME = PREFERRED_LIFETIME * 0.8;

/** ff02::1:2, all DHCP servers and relay agents on the link (RFC 8415 §7.1). */
const ALL_SERVERS = Address.ofWords(0xff02_0000, 0, 0, 0x0001_0002);

/** DUID-LL (RFC 8415 §11.4): type and hardware type in front of the MAC. */
const DUID_LINK_LAYER = 3;

/** The highest preference: the client does not wait for other servers (RFC 8415 §18.2.1). */
const PREFERENCE = 255;

/** Room for the search list, in bytes: the answer must fit the least MTU of IPv6, 1280. */
const SEARCH_ROOM = 1024;

/** Messages that must name their server; all others must not (RFC 8415 §16). */
const NAMES_SERVER: ReadonlySet<number> = new Set<number>([
  Dhcpv6Type.Request,
  Dhcpv6Type.Renew,
  Dhcpv6Type.Release,
  Dhcpv6Type.Decline,
]);

/**
 * The DHCPv6 server (RFC 8415) of one IPv6 network. It leases the addresses of the plan's pool to identity
 * associations and sends DNS settings. It delegates no prefixes.
 */
export class Dhcpv6Service implements Service {
  readonly name = "dhcpv6";
  readonly isLimited = true;
  readonly #plan: AddressPlan;
  readonly #config: GuestConfig;
  readonly #mac: Mac;
  readonly #duid: Uint8Array;
  readonly #ours: readonly Address[];
  readonly #leases: LeasePool;

  constructor(plan: AddressPlan, config: GuestConfig) {
    this.#plan = plan;
    this.#config = config;
    this.#mac = config.gatewayMac;
    this.#duid = linkLayerDuid(this.#mac);
    this.#ours = [ALL_SERVERS, ...ownAddresses([plan])];
    this.#leases = new LeasePool(plan.dhcpBegin, plan.dhcpEnd, VALID_LIFETIME);
  }

  claims({ protocol, family, destination, destinationPort }: Frame): boolean {
    if (protocol !== IpProtocol.Udp || destinationPort !== Dhcpv6Port.Server) return false;
    return family === 6 && includesAddress(this.#ours, destination);
  }

  handle(frame: Frame, now: number): Verdict {
    const message = parseDhcpv6(frame.bytes, frame.payloadOffset, frame.payloadLength);
    if (message === null) return drop(DropReason.DhcpMalformed);
    if (!this.#isForUs(message)) return drop(DropReason.DhcpNotForUs);
    const answer = this.#answer(message, now);
    if (answer === null) return drop(DropReason.DhcpMalformed);
    const from = { mac: this.#mac, address: this.#plan.router, port: Dhcpv6Port.Server };
    const to = { mac: frame.sourceMac, address: frame.source, port: frame.sourcePort };
    return { kind: "reply", frame: composeDatagram(from, to, composeDhcpv6(answer)) };
  }

  #isForUs(message: Dhcpv6Message): boolean {
    const server = find(message.options, Dhcpv6Option.ServerId);
    if (server === null) return !NAMES_SERVER.has(message.type);
    return Buffer.compare(server, this.#duid) === 0;
  }

  #answer(message: Dhcpv6Message, now: number): Dhcpv6Message | null {
    const client = find(message.options, Dhcpv6Option.ClientId);
    if (message.type === Dhcpv6Type.InformationRequest) {
      return this.#compose(message, Dhcpv6Type.Reply, client, []);
    }
    // Only an Information-request may lack a client identifier (RFC 8415 §16).
    if (client === null) return null;
    switch (message.type) {
      case Dhcpv6Type.Solicit:
        return this.#onSolicit(message, client, now);
      case Dhcpv6Type.Request:
      case Dhcpv6Type.Renew:
      case Dhcpv6Type.Rebind:
        return this.#assign(message, Dhcpv6Type.Reply, client, now);
      case Dhcpv6Type.Confirm:
        return this.#onConfirm(message, client);
      case Dhcpv6Type.Release:
      case Dhcpv6Type.Decline:
        return this.#onReturn(message, client, now);
      default:
        return null;
    }
  }

  #onSolicit(message: Dhcpv6Message, client: Uint8Array, now: number): Dhcpv6Message {
    const rapid = find(message.options, Dhcpv6Option.RapidCommit);
    if (rapid === null) return this.#assign(message, Dhcpv6Type.Advertise, client, now);
    const reply = this.#assign(message, Dhcpv6Type.Reply, client, now);
    const option = { code: Dhcpv6Option.RapidCommit, value: new Uint8Array() };
    return { ...reply, options: [...reply.options, option] };
  }

  /** Offers (Advertise) or leases (Reply) an address to each association of the message. */
  #assign(message: Dhcpv6Message, type: number, client: Uint8Array, now: number): Dhcpv6Message {
    const options = associationsOf(message).map((association) => {
      const who = clientOf(client, association);
      const wanted = addressesOf(association)[0] ?? null;
      const address = this.#leases.offer(who, wanted, now);
      if (address === null) return refusedAssociation(association);
      if (type === Dhcpv6Type.Reply) this.#leases.bind(who, address, now);
      return grantedAssociation(association, address, wanted);
    });
    return this.#compose(message, type, client, options);
  }

  /** Tells a client that may have moved whether its addresses fit this link (RFC 8415 §18.3.3). */
  #onConfirm(message: Dhcpv6Message, client: Uint8Array): Dhcpv6Message | null {
    const addresses = associationsOf(message).flatMap(addressesOf);
    if (addresses.length === 0) return null;
    const fit = addresses.every((address) => this.#plan.prefix.contains(address));
    const status = statusOption(fit ? Dhcpv6Status.Success : Dhcpv6Status.NotOnLink);
    return this.#compose(message, Dhcpv6Type.Reply, client, [status]);
  }

  #onReturn(message: Dhcpv6Message, client: Uint8Array, now: number): Dhcpv6Message {
    for (const association of associationsOf(message)) {
      const who = clientOf(client, association);
      for (const address of addressesOf(association)) {
        if (message.type === Dhcpv6Type.Release) this.#leases.release(who, address, now);
        else this.#leases.decline(who, address, now);
      }
    }
    return this.#compose(message, Dhcpv6Type.Reply, client, [statusOption(Dhcpv6Status.Success)]);
  }

  #compose(
    request: Dhcpv6Message,
    type: number,
    client: Uint8Array | null,
    options: readonly Dhcpv6OptionValue[],
  ): Dhcpv6Message {
    const all: Dhcpv6OptionValue[] = [{ code: Dhcpv6Option.ServerId, value: this.#duid }];
    if (client !== null) all.push({ code: Dhcpv6Option.ClientId, value: client });
    if (type === Dhcpv6Type.Advertise) {
      all.push({ code: Dhcpv6Option.Preference, value: Uint8Array.of(PREFERENCE) });
    }
    all.push(...options, ...this.#names(request));
    return { type, transaction: request.transaction, options: all };
  }

  /** DNS server and search list, if the client requests them. */
  #names(request: Dhcpv6Message): Dhcpv6OptionValue[] {
    const { dns } = this.#config;
    if (dns === null) return [];
    const wanted = requestedOptions(request);
    return [
      {
        code: Dhcpv6Option.DnsServers,
        value: Buffer.concat(this.#plan.nameServers.map((server) => server.toBytes())),
      },
      { code: Dhcpv6Option.DomainList, value: encodeDomainNames(dns.upstream.search, SEARCH_ROOM) },
    ].filter(({ code, value }) => value.length > 0 && wanted.includes(code));
  }
}

function grantedAssociation(
  { id }: IdentityAssociation,
  address: Address,
  wanted: Address | null,
): Dhcpv6OptionValue {
  const options = [addressOption(address, PREFERRED_LIFETIME, VALID_LIFETIME)];
  // RFC 8415 §18.3.4: lifetimes of 0 tell the client that it cannot keep an address.
  if (wanted !== null && !wanted.equals(address)) options.push(addressOption(wanted, 0, 0));
  return associationOption(id, options);
}

function refusedAssociation({ id }: IdentityAssociation): Dhcpv6OptionValue {
  return associationOption(id, [statusOption(Dhcpv6Status.NoAddressAvailable)]);
}

function associationOption(id: number, options: readonly Dhcpv6OptionValue[]): Dhcpv6OptionValue {
  const times = { renewalTime: RENEWAL_TIME, rebindingTime: REBINDING_TIME };
  const value = composeAssociation({ id, ...times, options });
  return { code: Dhcpv6Option.IdentityAssociation, value };
}

function addressOption(
  address: Address,
  preferredLifetime: number,
  validLifetime: number,
): Dhcpv6OptionValue {
  const value = composeAssociatedAddress({ address, preferredLifetime, validLifetime });
  return { code: Dhcpv6Option.Address, value };
}

function statusOption(status: number): Dhcpv6OptionValue {
  const value = new Uint8Array(2);
  writeU16(value, 0, status);
  return { code: Dhcpv6Option.StatusCode, value };
}

function associationsOf({ options }: Dhcpv6Message): IdentityAssociation[] {
  return options
    .filter(({ code }) => code === Dhcpv6Option.IdentityAssociation)
    .map(({ value }) => parseAssociation(value))
    .filter((association) => association !== null);
}

function addressesOf({ options }: IdentityAssociation): Address[] {
  return options
    .filter(({ code }) => code === Dhcpv6Option.Address)
    .flatMap(({ value }) => parseAssociatedAddress(value)?.address ?? []);
}

/** The leaseholder: each association of a client has its own lease. */
function clientOf(client: Uint8Array, { id }: IdentityAssociation): string {
  return `${Buffer.from(client).toString("hex")} ${id}`;
}

function requestedOptions({ options }: Dhcpv6Message): number[] {
  const request = find(options, Dhcpv6Option.OptionRequest);
  if (request === null) return [];
  return Array.from({ length: request.length >>> 1 }, (_, index) => readU16(request, 2 * index));
}

function find(options: readonly Dhcpv6OptionValue[], wanted: number): Uint8Array | null {
  return options.find(({ code }) => code === wanted)?.value ?? null;
}

function linkLayerDuid(mac: Mac): Uint8Array {
  const duid = new Uint8Array(10);
  writeU16(duid, 0, DUID_LINK_LAYER);
  writeU16(duid, 2, HARDWARE_ETHERNET);
  writeMac(duid, 4, mac);
  return duid;
}
