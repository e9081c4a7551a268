import { isOutOfDescriptors } from "../admission/admission.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { GuestConfig } from "../config/guest-config.js";
import { appearanceOf, gatewayOf } from "../nat/appearance.js";
import { PORT_ATTEMPTS, type PublishedRule, randomPort, ruleFor } from "../nat/published-port.js";
import { openSessionSocket, receiveOffloaded } from "../sys/sockets/datagram-socket.js";
import type { ScopedEndpoint } from "../sys/sockets/sockaddr.js";
import type { Delivery } from "./delivery.js";
import { Mapping, type MappingTable } from "./mapping.js";
import type { Opening } from "./opening.js";
import type { DatagramProtocol } from "./protocol.js";
import { RECEIVE_BATCH, type Receiver } from "./receiver.js";
import type { AskedPort, Session } from "./sessions.js";

/** What the clients of published UDP ports need of the guest. */
export interface PublishedContext {
  readonly config: GuestConfig;
  readonly drops: DropCounters;
  readonly quota: DescriptorQuota;
  /** Whether the TAP has a virtio header. */
  readonly offload: boolean;
}

/** Takes a datagram of a client at the host's loopback that does not go through the TAP; it is gone afterwards. */
export type PassBeside = (
  port: AskedPort,
  client: ScopedEndpoint,
  datagram: Uint8Array,
  now: number,
) => void;

/** What carries their datagrams. */
export interface PublishedParts {
  readonly mappings: MappingTable;
  readonly opening: Opening;
  readonly receiver: Receiver;
  readonly delivery: Delivery;
  readonly udp: DatagramProtocol;
}

/**
 * The clients of published UDP ports. A port's socket receives each client's first datagrams; from then on the
 * client has a session: a mapping whose socket is connected to it.
 */
export class PublishedDatagrams {
  readonly #context: PublishedContext;
  readonly #parts: PublishedParts;

  constructor(context: PublishedContext, parts: PublishedParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** See DatagramRelay.onPublished. */
  receive(
    fd: number,
    rule: PublishedRule,
    mac: Mac | null,
    now: number,
    passBeside: PassBeside | null,
  ): void {
    const { receiver } = this.#parts;
    const received = receiver.receive(fd, RECEIVE_BATCH);
    for (let index = 0; index < received; index += 1) {
      if (passBeside !== null && receiver.peerOf(index).isLoopback) {
        this.#passBeside({ rule, listener: fd }, index, now, passBeside);
        continue;
      }
      if (mac === null) {
        this.#context.drops.count(DropReason.GuestUnreachable);
        continue;
      }
      const asked = receiver.destinationOf(index) ?? rule.host;
      this.deliver({ rule, asked, listener: fd }, index, mac, now);
    }
    receiver.release();
  }

  /**
   * Delivers the receiver's message `index` of a client of the port, whose session begins if it has none.
   * @param mac the guest's Ethernet address
   */
  deliver(port: AskedPort, index: number, mac: Mac, now: number): void {
    const { mappings, delivery } = this.#parts;
    const mapping = this.#sessionFor(port, index, mac, now);
    if (mapping?.session == null) {
      this.#context.drops.count(DropReason.LimitFlows);
      return;
    }
    mappings.touch(mapping, now);
    delivery.deliver(mapping, mapping.session.seen, index, index + 1);
  }

  #passBeside(
    { rule, listener }: Pick<AskedPort, "rule" | "listener">,
    index: number,
    now: number,
    pass: PassBeside,
  ): void {
    const { receiver } = this.#parts;
    const asked = receiver.destinationOf(index) ?? rule.host;
    const client = { address: receiver.peerOf(index), port: receiver.portOf(index), scope: 0 };
    pass({ rule, asked, listener }, client, receiver.payloadOf(index), now);
  }

  /**
   * Whether message `index` is of another client than the session's: its socket had the port for itself
   * before it was connected (openSessionSocket), and holds what came in between.
   */
  isStray({ client, clientPort }: Session, index: number): boolean {
    const { receiver } = this.#parts;
    return receiver.portOf(index) !== clientPort || !receiver.peerOf(index).equals(client);
  }

  #sessionFor(port: AskedPort, index: number, mac: Mac, now: number): Mapping | null {
    const { receiver, mappings } = this.#parts;
    const { asked, listener } = port;
    const client = receiver.peerOf(index);
    const rule = ruleFor(port.rule, client.family);
    const clientPort = receiver.portOf(index);
    const scope = receiver.scopeOf(index);
    const known = mappings.sessions.ofClient({ rule, client, clientPort, scope, asked });
    if (known !== null) return known;
    const fd = this.#openSocket(
      { rule, asked, listener },
      { address: client, port: clientPort, scope },
      now,
    );
    if (fd < 0) return null;
    const session = this.#sessionOf({ rule, client, clientPort, scope, asked, listener });
    return this.#addSession(fd, session, mac, now);
  }

  /** @returns the socket of a new session, or a negative number where a limit or the kernel denies it */
  #openSocket({ rule, asked, listener }: AskedPort, client: ScopedEndpoint, now: number): number {
    const { opening } = this.#parts;
    const { quota, offload } = this.#context;
    if (!opening.admit(now)) return -1;
    if (!quota.mayOpen(1) && !opening.endOldest()) return -1;
    const local = { address: asked, port: rule.hostPort, scope: client.scope };
    let fd = openSessionSocket(listener, local, client, rule);
    if (isOutOfDescriptors(-fd) && (quota.reclaimOne() || opening.endOldest())) {
      fd = openSessionSocket(listener, local, client, rule);
    }
    if (fd >= 0 && offload) receiveOffloaded(fd);
    return fd;
  }

  /** Chooses as whom the guest sees the client: no two sessions of one port of the guest may look the same. */
  #sessionOf(known: Omit<Session, "seen" | "seenPort">): Session {
    const { rule, client, clientPort } = known;
    const { config } = this.#context;
    const { sessions } = this.#parts.mappings;
    const { family } = rule.guest;
    const seen = appearanceOf(config, client, family);
    let session: Session = { ...known, seen, seenPort: clientPort };
    for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt += 1) {
      if (!sessions.isSeen(rule, session.seen, session.seenPort)) break;
      session = { ...known, seen: gatewayOf(config, family), seenPort: randomPort() };
    }
    return session;
  }

  #addSession(fd: number, session: Session, mac: Mac, now: number): Mapping | null {
    const { udp, opening } = this.#parts;
    const { rule, client, clientPort, seen } = session;
    const mapping = new Mapping({
      fd,
      protocol: udp,
      guest: rule.guest,
      guestPort: rule.guestPort,
      mac,
      route: { to: client, as: seen.equals(client) ? null : seen },
      session,
      isFiltered: false,
      since: now,
    });
    mapping.contact(client, clientPort);
    return opening.add(mapping);
  }
}
