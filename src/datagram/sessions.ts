import type { Address } from "../base/address.js";
import type { PublishedRule } from "../nat/published-port.js";
import type { Frame } from "../wire/frame.js";

/** A published UDP port, as a client addressed it. */
export interface AskedPort {
  readonly rule: PublishedRule;
  /** The host's address that the client sent to: a rule may be for all of them. */
  readonly asked: Address;
  /** The port's socket, which received the client's first datagram. */
  readonly listener: number;
}

/** A client of a published UDP port. */
export interface Session extends AskedPort {
  readonly client: Address;
  readonly clientPort: number;
  /** Index of the interface on whose link a link-local client is; otherwise 0. */
  readonly scope: number;
  /** As whom and from which port the guest sees it. */
  readonly seen: Address;
  readonly seenPort: number;
}

/** What the table needs of a mapping. */
interface Holder {
  readonly guest: Address;
  readonly guestPort: number;
  readonly session: Session | null;
}

/** The sessions of one guest, by what the guest sees and by what the host sees. */
export class SessionTable<Mapping extends Holder> {
  readonly #bySeen = new Map<number, Mapping[]>();
  readonly #byClient = new Map<string, Mapping>();

  /** The session that a datagram of the guest answers; null: none. */
  find(frame: Frame): Mapping | null {
    if (this.#byClient.size === 0) return null;
    const { source, sourcePort, destination, destinationPort } = frame;
    return this.#search(source, sourcePort, destination, destinationPort);
  }

  /** Whether the guest sees a session with these endpoints already. */
  isSeen(rule: PublishedRule, seen: Address, seenPort: number): boolean {
    return this.#search(rule.guest, rule.guestPort, seen, seenPort) !== null;
  }

  /** The client's session; null: it has none. */
  ofClient(known: Pick<Session, KeyPart>): Mapping | null {
    return this.#byClient.get(clientKey(known)) ?? null;
  }

  add(mapping: Mapping, session: Session): void {
    const { rule, seen, seenPort } = session;
    const hash = hashOf(seen, seenPort, rule.guestPort);
    const others = this.#bySeen.get(hash);
    if (others === undefined) this.#bySeen.set(hash, [mapping]);
    else others.push(mapping);
    this.#byClient.set(clientKey(session), mapping);
  }

  remove(mapping: Mapping, session: Session): void {
    const { rule, seen, seenPort } = session;
    const hash = hashOf(seen, seenPort, rule.guestPort);
    const others = (this.#bySeen.get(hash) ?? []).filter((other) => other !== mapping);
    if (others.length === 0) this.#bySeen.delete(hash);
    else this.#bySeen.set(hash, others);
    this.#byClient.delete(clientKey(session));
  }

  #search(guest: Address, guestPort: number, seen: Address, seenPort: number): Mapping | null {
    const candidates = this.#bySeen.get(hashOf(seen, seenPort, guestPort));
    if (candidates === undefined) return null;
    for (const mapping of candidates) {
      const { session } = mapping;
      if (session === null || session.seenPort !== seenPort) continue;
      if (mapping.guestPort !== guestPort || !mapping.guest.equals(guest)) continue;
      if (session.seen.equals(seen)) return mapping;
    }
    return null;
  }
}

/** Not keyed: sessions of one hash are compared one by one, and a guest gains nothing by aiming at one. */
function hashOf({ w0, w1, w2, w3 }: Address, port: number, guestPort: number): number {
  return Math.imul(w0 ^ w1 ^ w2 ^ w3 ^ (port << 16) ^ guestPort, 0x9e37_79b1);
}

type KeyPart = "rule" | "client" | "clientPort" | "scope" | "asked";

/** A key for one client of one port. */
export function clientKey({
  rule,
  client,
  clientPort,
  scope,
  asked,
}: Pick<Session, KeyPart>): string {
  return `${rule.id} ${client} ${clientPort} ${scope} ${asked}`;
}
