import { Address, LONGEST_WITH_BROADCAST, UNSPECIFIED } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import { BROADCAST_MAC, type Mac } from "../base/mac.js";
import {
  type AddressPlan,
  hasDefaultRoute,
  hostRoute,
  type Route,
} from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import { writeU16, writeU32 } from "../wire/bytes.js";
import { composeDatagram, type LinkEndpoint } from "../wire/datagram.js";
import {
  composeClasslessRoute,
  composeDhcp,
  type DhcpMessage,
  DhcpOperation,
  DhcpOption,
  DhcpPort,
  DhcpType,
  parseDhcp,
} from "../wire/dhcp.js";
import { encodeDomainNames } from "../wire/domain-names.js";
import type { Frame } from "../wire/frame.js";
import { IpProtocol } from "../wire/ip.js";
import { LeasePool } from "./leases.js";
import { DONE, drop, type Service, type Verdict } from "./service.js";

/** In seconds; a client renews after a half and rebinds after seven eighths (RFC 2131 §4.4.5). */
const LEASE_TIME = 86_400;
const RENEWAL_TIME = LEASE_TIME / 2;
const REBINDING_TIME = (LEASE_TIME * 7) / 8;

/** In bytes: every client accepts an IP packet of this size (RFC 2131 §2). */
const LEAST_MAXIMUM_SIZE = 576;
const IP_AND_UDP = 28;
/** More than the fixed fields and the longest options without routes and the search list, in bytes. */
const WITHOUT_LISTS = 400;

const BROADCAST = Address.ofIpv4Word(0xffff_ffff);

/** Options sent whatever the client asks for (RFC 2131 §4.3.1, table 3). */
const UNASKED: ReadonlySet<number> = new Set<number>([
  DhcpOption.MessageType,
  DhcpOption.ServerId,
  DhcpOption.LeaseTime,
  DhcpOption.RenewalTime,
  DhcpOption.RebindingTime,
  DhcpOption.ClientId,
]);

type Options = Map<number, Uint8Array>;

/**
 * The authoritative DHCP server (RFC 2131) of one IPv4 network. It leases the addresses of the plan's pool: further ones
 * on a network of Slipway's own, the guest's address elsewhere.
 */
export class DhcpService implements Service {
  readonly name = "dhcp";
  readonly isLimited = true;
  readonly #plan: AddressPlan;
  readonly #config: GuestConfig;
  readonly #mac: Mac;
  readonly #leases: LeasePool;

  constructor(plan: AddressPlan, config: GuestConfig) {
    this.#plan = plan;
    this.#config = config;
    this.#mac = config.gatewayMac;
    this.#leases = new LeasePool(plan.dhcpBegin, plan.dhcpEnd, LEASE_TIME);
  }

  claims({ protocol, family, destination, destinationPort }: Frame): boolean {
    if (protocol !== IpProtocol.Udp || destinationPort !== DhcpPort.Server) return false;
    if (family !== 4) return false;
    const { gateway, prefix } = this.#plan;
    return (
      destination.isBroadcast || destination.equals(gateway) || destination.equals(prefix.last)
    );
  }

  handle(frame: Frame, now: number): Verdict {
    const message = parseDhcp(frame.bytes, frame.payloadOffset, frame.payloadLength);
    const type = message?.options.get(DhcpOption.MessageType)?.[0];
    if (message?.operation !== DhcpOperation.Request) return drop(DropReason.DhcpMalformed);
    // A relay agent forwards for another network, which this server does not serve.
    if (!message.relayAddress.isUnspecified) return drop(DropReason.DhcpNotForUs);
    switch (type) {
      case DhcpType.Discover:
        return this.#onDiscover(message, now);
      case DhcpType.Request:
        return this.#onRequest(message, now);
      case DhcpType.Decline:
      case DhcpType.Release:
        return this.#onReturn(message, type, now);
      case DhcpType.Inform:
        return this.#answer(message, DhcpType.Acknowledge, UNSPECIFIED[4]);
      default:
        return drop(DropReason.DhcpMalformed);
    }
  }

  #onDiscover(message: DhcpMessage, now: number): Verdict {
    const wanted = addressIn(message, DhcpOption.RequestedAddress);
    const offered = this.#leases.offer(clientOf(message), wanted, now);
    if (offered === null) return drop(DropReason.LimitQuota);
    return this.#answer(message, DhcpType.Offer, offered);
  }

  /**
   * RFC 2131 §4.3.2: a client that selects names the server and the offered address; one that rebooted names
   * the address only; one that renews or rebinds uses it already (ciaddr).
   */
  #onRequest(message: DhcpMessage, now: number): Verdict {
    const server = addressIn(message, DhcpOption.ServerId);
    if (server !== null && !server.equals(this.#plan.gateway)) return drop(DropReason.DhcpNotForUs);
    const asked = addressIn(message, DhcpOption.RequestedAddress) ?? message.clientAddress;
    if (this.#leases.bind(clientOf(message), asked, now)) {
      return this.#answer(message, DhcpType.Acknowledge, asked);
    }
    return this.#answer(message, DhcpType.Refuse, UNSPECIFIED[4]);
  }

  /** Handles DHCPDECLINE and DHCPRELEASE, which get no answer. */
  #onReturn(message: DhcpMessage, type: number, now: number): Verdict {
    const client = clientOf(message);
    if (type === DhcpType.Release) {
      this.#leases.release(client, message.clientAddress, now);
    } else {
      const address = addressIn(message, DhcpOption.RequestedAddress);
      if (address !== null) this.#leases.decline(client, address, now);
    }
    return DONE;
  }

  #answer(request: DhcpMessage, type: number, yourAddress: Address): Verdict {
    const isRefusal = type === DhcpType.Refuse;
    const answer: DhcpMessage = {
      operation: DhcpOperation.Reply,
      transaction: request.transaction,
      broadcast: request.broadcast,
      clientAddress: isRefusal ? UNSPECIFIED[4] : request.clientAddress,
      yourAddress,
      relayAddress: UNSPECIFIED[4],
      clientMac: request.clientMac,
      options: this.#optionsFor(request, type, yourAddress),
    };
    const from = { mac: this.#mac, address: this.#plan.gateway, port: DhcpPort.Server };
    const to = isRefusal ? EVERYBODY : receiverOf(answer);
    return { kind: "reply", frame: composeDatagram(from, to, composeDhcp(answer)) };
  }

  #optionsFor(request: DhcpMessage, type: number, yourAddress: Address): Options {
    const options: Options = new Map([
      [DhcpOption.MessageType, Uint8Array.of(type)],
      [DhcpOption.ServerId, this.#plan.gateway.toBytes()],
    ]);
    const client = request.options.get(DhcpOption.ClientId);
    if (client !== undefined) options.set(DhcpOption.ClientId, client);
    if (type === DhcpType.Refuse) return options;
    if (!yourAddress.isUnspecified) {
      options.set(DhcpOption.LeaseTime, wordBytes(LEASE_TIME));
      options.set(DhcpOption.RenewalTime, wordBytes(RENEWAL_TIME));
      options.set(DhcpOption.RebindingTime, wordBytes(REBINDING_TIME));
    }
    this.#addNetwork(options);
    const room = maximumSize(request) - IP_AND_UDP - WITHOUT_LISTS;
    this.#addNames(options, room - this.#addRoutes(options, room));
    return asRequested(options, request.options.get(DhcpOption.ParameterRequest));
  }

  #addNetwork(options: Options): void {
    const { prefix } = this.#plan;
    options.set(DhcpOption.SubnetMask, prefix.netmask.toBytes());
    if (hasDefaultRoute(this.#plan)) options.set(DhcpOption.Router, this.#plan.router.toBytes());
    if (prefix.length <= LONGEST_WITH_BROADCAST) {
      options.set(DhcpOption.Broadcast, prefix.last.toBytes());
    }
    options.set(DhcpOption.InterfaceMtu, shortBytes(this.#config.mtu));
  }

  /**
   * Adds the routes where a mask and a router on the network do not say it all. A client that takes them ignores the
   * router (RFC 3442), so they have the default route, too.
   * @param room for them, in bytes; those that exceed it are left out, the last first
   * @returns bytes used
   */
  #addRoutes(options: Options, room: number): number {
    const routes = routesFor(this.#plan);
    if (routes.length === 0) return 0;
    const encoded = routes.map(({ destination, via }) =>
      composeClasslessRoute(destination, via ?? UNSPECIFIED[4]),
    );
    let length = 0;
    const fitting = encoded.filter((each) => {
      length += each.length;
      return length <= room;
    });
    const value = Buffer.concat(fitting);
    options.set(DhcpOption.ClasslessRoutes, value);
    return value.length;
  }

  /** @param room for the search list, in bytes */
  #addNames(options: Options, room: number): void {
    const { dns, hostname } = this.#config;
    if (hostname !== null) options.set(DhcpOption.Hostname, Buffer.from(hostname));
    if (dns === null) return;
    const servers = this.#plan.nameServers.map((server) => server.toBytes());
    if (servers.length > 0) options.set(DhcpOption.DnsServers, Buffer.concat(servers));
    const [domain] = dns.upstream.search;
    if (domain === undefined) return;
    options.set(DhcpOption.DomainName, Buffer.from(domain));
    const search = encodeDomainNames(dns.upstream.search, room);
    if (search.length > 0) options.set(DhcpOption.DomainSearch, search);
  }
}

/**
 * The routes of a plan in the order in which a client can set them, with one to each next hop that is not on the network.
 * Empty where the router is on the network and its route is the only one.
 */
function routesFor({ prefix, router, routes }: AddressPlan): readonly Route[] {
  // The client makes a route to the network itself.
  const further = routes.filter(
    ({ destination, via }) => via !== null || !prefix.covers(destination),
  );
  const isSimple = ({ destination, via }: Route) =>
    destination.length === 0 && via?.equals(router) === true;
  if (prefix.contains(router) && further.every(isSimple)) return [];
  // The default route first: without it the others are of little use.
  return withoutTwins(
    further
      .toSorted((a, b) => rank(a) - rank(b))
      .flatMap((route) => {
        const { via } = route;
        const isOnNetwork = via === null || prefix.contains(via);
        const toHop = isOnNetwork ? [] : [hostRoute(via)];
        return [...toHop, route];
      }),
  );
}

/** Of routes to one destination the first has preference. */
function withoutTwins(routes: readonly Route[]): readonly Route[] {
  const known = new Set<string>();
  return routes.filter(({ destination }) => {
    const isNew = !known.has(`${destination}`);
    known.add(`${destination}`);
    return isNew;
  });
}

function rank({ destination }: Route): number {
  return destination.length === 0 ? 0 : 1;
}

const EVERYBODY: LinkEndpoint = {
  mac: BROADCAST_MAC,
  address: BROADCAST,
  port: DhcpPort.Client,
};

/** RFC 2131 §4.1: the client's address, a broadcast, or the address that it is about to set. */
function receiverOf(answer: DhcpMessage): LinkEndpoint {
  const { clientAddress, yourAddress, clientMac, broadcast } = answer;
  const port = DhcpPort.Client;
  if (!clientAddress.isUnspecified) return { mac: clientMac, address: clientAddress, port };
  return broadcast ? EVERYBODY : { mac: clientMac, address: yourAddress, port };
}

/** The options that the client requests, in its order; all when it sends no list. */
function asRequested(options: Options, request: Uint8Array | undefined): Options {
  if (request === undefined) return options;
  const unasked = [...options].filter(([code]) => UNASKED.has(code));
  const asked = [...request].flatMap((code): [number, Uint8Array][] => {
    const value = options.get(code);
    return value === undefined ? [] : [[code, value]];
  });
  return new Map([...unasked, ...asked]);
}

/** The client identifier, or the hardware address (RFC 2131 §4.2). */
function clientOf({ options, clientMac }: DhcpMessage): string {
  const id = options.get(DhcpOption.ClientId);
  return id === undefined ? `mac ${clientMac}` : `id ${Buffer.from(id).toString("hex")}`;
}

function addressIn({ options }: DhcpMessage, code: number): Address | null {
  const value = options.get(code);
  return value?.length === 4 ? Address.read(value, 0, 4) : null;
}

/** The longest IP packet that the client accepts, in bytes. */
function maximumSize({ options }: DhcpMessage): number {
  const value = options.get(DhcpOption.MaximumSize);
  const size = value?.length === 2 ? (value[0] << 8) | value[1] : 0;
  return Math.max(size, LEAST_MAXIMUM_SIZE);
}

function wordBytes(word: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, word);
  return bytes;
}

function shortBytes(word: number): Uint8Array {
  const bytes = new Uint8Array(2);
  writeU16(bytes, 0, word);
  return bytes;
}
