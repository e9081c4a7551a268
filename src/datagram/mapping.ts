import type { Address } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { IdPool } from "../base/id-pool.js";
import { type LruEntry, LruList } from "../base/lru-list.js";
import type { Mac } from "../base/mac.js";
import type { GuestConfig } from "../config/guest-config.js";
import { appearanceOfPeer } from "../nat/appearance.js";
import { endpointKey } from "../nat/endpoint-key.js";
import { Tally } from "../nat/flow-record.js";
import type { PublishedRule } from "../nat/published-port.js";
import { native } from "../sys/native.js";
import { setDontFragment, setHopLimit, setTrafficClass } from "../sys/sockets/datagram-socket.js";
import { DNS_PORT } from "../wire/dns.js";
import type { Frame } from "../wire/frame.js";
import type { DatagramProtocol } from "./protocol.js";
import { type Session, SessionTable } from "./sessions.js";

/** Where a datagram goes on the host, and as whom its answers appear to the guest. */
export interface Route {
  readonly to: Address;
  /** The address that the guest sent to, when it is not `to`; null: whoever answers appears as itself. */
  readonly as: Address | null;
}

/** Header fields that a host socket gives its datagrams, packed into one number to compare. */
export type HeaderFields = number;

/** Those of a new socket. */
const UNKNOWN: HeaderFields = -1;

/** @param hopLimit 0..255 @param trafficClass DSCP and ECN, 0..255 */
export function headerFields(
  hopLimit: number,
  trafficClass: number,
  dontFragment: boolean,
): HeaderFields {
  return hopLimit | (trafficClass << 8) | (dontFragment ? 0x1_0000 : 0);
}

export interface MappingOptions {
  /** The host socket. */
  readonly fd: number;
  readonly protocol: DatagramProtocol;
  readonly guest: Address;
  /** Port, or identifier of ICMP echo. */
  readonly guestPort: number;
  readonly mac: Mac;
  readonly route: Route;
  /** The client of a published port for whom it is; null: the guest began it. */
  readonly session: Session | null;
  /** Whether only those whom the guest has sent to may answer. */
  readonly isFiltered: boolean;
  /** When it begins, in ms of the loop's clock. */
  readonly since: number;
}

/** One endpoint of the guest and the host socket that stands for it. */
export class Mapping {
  readonly fd: number;
  readonly protocol: DatagramProtocol;
  readonly guest: Address;
  readonly guestPort: number;
  readonly route: Route;
  readonly session: Session | null;
  readonly since: number;
  /** The guest's Ethernet address, as of its last datagram. */
  mac: Mac;
  /** When it was last used, in ms; set by MappingTable.touch(). */
  lastUsed: number;
  /** Its place in the order of use; null while it is in no table. */
  place: LruEntry<number> | null = null;
  /** Whether anybody has answered the guest. */
  answered = false;
  readonly fromGuest = new Tally();
  readonly toGuest = new Tally();
  /** Whom the guest has sent to last. */
  peer: Address;
  peerPort = 0;
  /** MTU of the link that the last datagram was too long for, as the host reported it; 0: none was. */
  localMtu = 0;
  /** Whom the guest has sent to; null when anybody may answer. */
  readonly #contacted: Set<string> | null;
  #lastContacted: Address | null = null;
  /** Whether the guest has sent to port 53 alone. */
  #isForDns = true;
  #fields: HeaderFields = UNKNOWN;

  constructor(options: MappingOptions) {
    const { fd, protocol, guest, guestPort, mac, route, session, isFiltered, since } = options;
    this.fd = fd;
    this.protocol = protocol;
    this.guest = guest;
    this.guestPort = guestPort;
    this.route = route;
    this.session = session;
    this.since = since;
    this.mac = mac;
    this.lastUsed = since;
    this.peer = route.to;
    this.#contacted = isFiltered ? new Set() : null;
  }

  /** Whether it is for that frame of the guest. @param as Route.as of its destination */
  serves(frame: Frame, protocol: DatagramProtocol, as: Address | null): boolean {
    if (this.session !== null || this.protocol !== protocol) return false;
    if (!this.guest.equals(frame.source)) return false;
    return as === null ? this.route.as === null : this.route.as?.equals(as) === true;
  }

  /** When it ends if it is not used until then, in ms. */
  get expires(): number {
    return this.lastUsed + this.protocol.timeout(this.answered, this.#isForDns);
  }

  /** When to look at it again, in ms: it expires no earlier, but an answer, or another port, changes the time-out. */
  checkAt(now: number): number {
    const soonest = this.lastUsed + this.protocol.shortestTimeout;
    return soonest > now ? soonest : this.expires;
  }

  /** Notes whom the guest sends to: where filtering is on, only they may answer (RFC 4787 §5). */
  contact(address: Address, port: number): void {
    this.#isForDns &&= port === DNS_PORT;
    this.peer = address;
    this.peerPort = port;
    if (this.#contacted === null || this.#lastContacted?.equals(address) === true) return;
    this.#lastContacted = address;
    this.#contacted.add(address.toString());
  }

  /** As whom a peer appears to the guest; null when the guest must not hear it. */
  appearanceOf(config: Pick<GuestConfig, "plans">, peer: Address): Address | null {
    const { route, session } = this;
    if (session !== null) return session.seen;
    if (route.as !== null) return peer.equals(route.to) ? route.as : null;
    return peer.isLoopback || !this.admits(peer) ? null : appearanceOfPeer(config, peer);
  }

  /** Whether the peer may answer, as far as filtering goes. */
  admits(peer: Address): boolean {
    if (this.#contacted === null || this.#lastContacted?.equals(peer) === true) return true;
    return this.#contacted.has(peer.toString());
  }

  /** Sets the header fields of what the socket sends from now on. */
  applyFields(fields: HeaderFields): void {
    if (this.#fields === fields) return;
    const changed = this.#fields === UNKNOWN ? ~0 : this.#fields ^ fields;
    const { fd } = this;
    const { family } = this.route.to;
    if ((changed & 0xff) !== 0) setHopLimit(fd, family, fields & 0xff);
    if ((changed & 0xff00) !== 0) setTrafficClass(fd, family, (fields >>> 8) & 0xff);
    if ((changed & 0x1_0000) !== 0) setDontFragment(fd, family, (fields & 0x1_0000) !== 0);
    this.#fields = fields;
  }
}

/** The mappings of one guest, by id and by the guest's endpoint. */
export class MappingTable {
  /** Mappings of clients of published ports. */
  readonly sessions = new SessionTable<Mapping>();
  /** Ids for tokens: a mapping has one from before add() until it ends. */
  readonly ids = new IdPool();
  readonly #byId: (Mapping | undefined)[] = [];
  /** Ids by the guest's endpoint: a hostile guest has any number of addresses. */
  readonly #byEndpoint = new Map<number, number[]>();
  readonly #recency = new LruList<number>();
  #nextAt = NEVER;

  get count(): number {
    return this.#recency.count;
  }

  *values(): Generator<Mapping> {
    for (let id = 0; id < this.#byId.length; id += 1) {
      const mapping = this.#byId[id];
      if (mapping !== undefined) yield mapping;
    }
  }

  get(id: number): Mapping | undefined {
    return this.#byId[id];
  }

  find(frame: Frame, protocol: DatagramProtocol, as: Address | null): Mapping | null {
    const ids = this.#byEndpoint.get(endpointKey(frame.source, protocol.guestPort(frame)));
    if (ids === undefined) return null;
    for (const id of ids) {
      const mapping = this.#byId[id];
      if (mapping?.serves(frame, protocol, as) === true) return mapping;
    }
    return null;
  }

  add(id: number, mapping: Mapping): void {
    this.#byId[id] = mapping;
    mapping.place = this.#recency.add(id);
    this.#nextAt = Math.min(this.#nextAt, mapping.checkAt(mapping.lastUsed));
    if (mapping.session !== null) this.sessions.add(mapping, mapping.session);
    const key = endpointKey(mapping.guest, mapping.guestPort);
    const ids = this.#byEndpoint.get(key);
    if (ids === undefined) this.#byEndpoint.set(key, [id]);
    else ids.push(id);
  }

  /** Notes that the mapping is used. @param now in ms */
  touch(mapping: Mapping, now: number): void {
    mapping.lastUsed = now;
    if (mapping.place !== null) this.#recency.touch(mapping.place);
  }

  /** Ends the mapping that has been idle for longest. @returns false when there is none */
  endOldest(): boolean {
    const { oldest } = this.#recency;
    const mapping = oldest === null ? undefined : this.#byId[oldest];
    if (oldest === null || mapping === undefined) return false;
    this.#end(oldest, mapping);
    return true;
  }

  /** When expire() may have something to do, in ms; NEVER while there is no mapping. */
  get nextAt(): number {
    return this.count === 0 ? NEVER : this.#nextAt;
  }

  /** Ends mappings that have been idle for their time-out. @param now in ms */
  expire(now: number): void {
    if (now < this.#nextAt) return;
    let next = NEVER;
    this.#byId.forEach((mapping, id) => {
      if (mapping === undefined) return;
      if (mapping.expires <= now) this.#end(id, mapping);
      else next = Math.min(next, mapping.checkAt(now));
    });
    this.#nextAt = next;
  }

  /** Ends the sessions of a published port. */
  endSessions(rule: PublishedRule): void {
    this.#byId.forEach((mapping, id) => {
      if (mapping?.session?.rule.id === rule.id) this.#end(id, mapping);
    });
  }

  /** Gives back the ids of mappings that ended; to be called when no fetched event is left. */
  reap(): void {
    this.ids.reap();
  }

  close(): void {
    this.#byId.forEach((mapping, id) => {
      if (mapping !== undefined) this.#end(id, mapping);
    });
    this.reap();
  }

  #end(id: number, mapping: Mapping): void {
    native.close(mapping.fd);
    if (mapping.session !== null) this.sessions.remove(mapping, mapping.session);
    this.#byId[id] = undefined;
    this.ids.release(id);
    if (mapping.place !== null) this.#recency.remove(mapping.place);
    const key = endpointKey(mapping.guest, mapping.guestPort);
    const ids = (this.#byEndpoint.get(key) ?? []).filter((other) => other !== id);
    if (ids.length === 0) this.#byEndpoint.delete(key);
    else this.#byEndpoint.set(key, ids);
  }
}
