import { setTimeout as delay } from "node:timers/promises";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { Session, type SessionEnd } from "../../client/session.js";
import { MOST_LOSSES, openOrStart } from "../../client/start.js";
import { type AttachmentTap, openAttachment } from "../../client/taps.js";
import { shortId } from "../../config/names.js";
import { openListenerSocket } from "../../host/ports/scanning.js";
import type { Loop } from "../../loop/loop.js";
import { setLoopbackUp } from "../../netns/agent.js";
import type { DaemonPaths } from "../../rpc/daemon-paths.js";
import type {
  AttachmentEvent,
  DaemonEvent,
  GivenAttachment,
  GivenMember,
  JoinSpec,
  NamespaceRef,
  ParamsInput,
} from "../../rpc/messages.js";
import { native } from "../../sys/native.js";

/** Between two attempts to join again, in ms: after the daemon was lost, and after `daemon stop`. */
const LOST_RETRY = 100;
const STOPPED_RETRY = 500;

type PublishedAutomatically = NonNullable<ParamsInput<"member.publish">["auto"]>;

/** What a command is on its networks. */
export interface MembershipSpec {
  readonly join: JoinSpec;
  /** In the notation of --publish. */
  readonly publish: readonly string[];
  /** The ports that are published automatically: as of member.publish; null: none are. */
  readonly auto: PublishedAutomatically | null;
}

type MadeOrEnded = Exclude<AttachmentEvent, { readonly kind: "published" }>;

/** An attachment, and its interface, which stays open so that it outlives the daemon. */
interface Place {
  given: GivenAttachment;
  /** null: not made yet. */
  interface: AttachmentTap | null;
}

/** A command's place on its networks: what the daemon assigned, and what joining the next daemon takes. */
export class Membership {
  readonly #loop: Loop;
  readonly #paths: DaemonPaths;
  readonly #spec: MembershipSpec;
  #session: Session | null = null;
  #given: GivenMember | null = null;
  #namespace: NamespaceRef | null = null;
  /** In the order in which they were made. Others make and end some, too (#onEvent). */
  #places: Place[] = [];
  /** What is published by now, in the notation of --publish, as others change that, too; null: not known. */
  #published: readonly string[] | null = null;
  /** Whether another client has ended an attachment. */
  #hasLost = false;
  /** Whether the command may run: from then on the end of the daemon is survived. */
  #isUp = false;
  #isRejoining = false;
  /** Whether the ports of --publish and --publish-auto were published once, by the present daemon. */
  #hasPublished = false;

  constructor(loop: Loop, paths: DaemonPaths, spec: MembershipSpec) {
    this.#loop = loop;
    this.#paths = paths;
    this.#spec = spec;
  }

  /** Has the daemon assign names and addresses. */
  async join(): Promise<GivenMember> {
    for (let losses = 1; ; losses += 1) {
      let end: SessionEnd | null = null;
      const session = await openOrStart(this.#paths, this.#loop, (how) => {
        end = how;
        this.#onEnd(how);
      });
      session.onWarning = (warning) => log.warn("%s", warning);
      try {
        return await this.#joinBy(session, { ...this.#spec.join, keepsTaps: true });
      } catch (error) {
        if (end !== "lost" || losses >= MOST_LOSSES) throw error;
      }
    }
  }

  /**
   * Makes the interfaces and has the daemon serve them. An attachment that was ended meanwhile is left out.
   * @returns a line for each port of the host that was chosen at random
   */
  async enter(namespace: NamespaceRef): Promise<readonly string[]> {
    this.#namespace = namespace;
    if (this.#places.length === 0) setLoopbackUp(namespace);
    for (const [index, place] of this.#places.entries()) {
      const ifname = place.given.ifname ?? `eth${index}`;
      place.interface = openAttachment(namespace, { ...place.given, ifname });
    }
    const lines = await this.#attach(namespace);
    this.#isUp = true;
    return lines;
  }

  get #member(): GivenMember {
    if (this.#given === null) throw new Error("not joined yet");
    return this.#given;
  }

  async #joinBy(session: Session, spec: JoinSpec): Promise<GivenMember> {
    session.onEvent = (event, tap) => void this.#onEvent(session, event, tap);
    this.#given = await session.request("member.join", spec);
    const { attachments } = this.#given;
    // Others have ended these while there was no session.
    for (const { given } of [...this.#places]) {
      if (!attachments.some(({ network }) => network === given.network)) this.#leave(given.network);
    }
    this.#places = attachments.map((given) => {
      const before = this.#places.find((place) => place.given.network === given.network);
      return { given, interface: before?.interface ?? null };
    });
    this.#session = session;
    return this.#given;
  }

  async #attach(namespace: NamespaceRef): Promise<readonly string[]> {
    const session = this.#session;
    if (session === null) throw new UserError("the daemon has ended: try again");
    const { id: member } = this.#member;
    for (const place of [...this.#places]) {
      // Another client may have ended it while the last request was carried out.
      if (place.interface === null || !this.#places.includes(place)) continue;
      const { ifname, tap } = place.interface;
      const params = { member, network: place.given.network, ifname, namespace };
      try {
        await session.request("member.attach", params, tap);
      } catch (error) {
        if (this.#places.includes(place)) throw error;
      }
    }
    this.#hasPublished = false;
    const lines = await this.#publishAtStart(session, namespace);
    await session.request("member.started", { member, namespace });
    return lines;
  }

  /** Ports of a command that has lost networks by now may have to wait for the next. */
  async #publishAtStart(session: Session, namespace: NamespaceRef): Promise<readonly string[]> {
    try {
      const lines = await this.#publishAll(session, namespace);
      this.#hasPublished = true;
      return lines;
    } catch (error) {
      if (!this.#hasLost || !(error instanceof UserError)) throw error;
      log.warn(error.message);
      return [];
    }
  }

  /** What the daemon before has published; if that cannot be had again, what was asked for at the start. */
  async #publishAll(session: Session, namespace: NamespaceRef): Promise<readonly string[]> {
    if (this.#published !== null) {
      try {
        return await this.#publish(session, namespace, this.#published);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
      }
    }
    return this.#publish(session, namespace, this.#spec.publish);
  }

  async #publish(
    session: Session,
    namespace: NamespaceRef,
    ports: readonly string[],
  ): Promise<readonly string[]> {
    const { auto } = this.#spec;
    if (ports.length === 0 && auto === null) return [];
    const params = { member: this.#member.id, ports: [...ports], auto };
    const listening = auto === null ? null : openListenerSocket(namespace);
    try {
      return await session.request("member.publish", params, listening);
    } finally {
      if (listening !== null) native.close(listening);
    }
  }

  /** Another client has made or ended an attachment of this member. */
  async #onEvent(
    session: Session,
    { event, serial }: DaemonEvent,
    tap: number | null,
  ): Promise<void> {
    if (event.kind === "attached") this.#keep(event.attachment, tap);
    else if (tap !== null) native.close(tap);
    if (event.kind === "detached") this.#leave(event.network);
    if (event.kind === "published") this.#published = event.ports;
    try {
      if (event.kind === "attached" || (event.kind === "detached" && event.auto))
        await this.#publishAgain(session, event);
      await session.request("member.confirm", { serial });
    } catch (error) {
      // The daemon has ended; the next one is told of all attachments.
      if (!(error instanceof UserError)) throw error;
    }
  }

  #keep(given: GivenAttachment, tap: number | null): void {
    if (tap === null) return;
    if (given.ifname === null) native.close(tap);
    else this.#places.push({ given, interface: { ifname: given.ifname, tap } });
  }

  #leave(network: string): void {
    const index = this.#places.findIndex(({ given }) => given.network === network);
    const [place] = index < 0 ? [] : this.#places.splice(index, 1);
    this.#hasLost = true;
    if (place?.interface) native.close(place.interface.tap);
  }

  /** Ports that were published before are the daemon's to move, except those on which COMMAND listens. */
  async #publishAgain(session: Session, { kind, auto }: MadeOrEnded): Promise<void> {
    // Otherwise all are published soon (#attach).
    const isSettled = this.#isUp && !this.#isRejoining;
    if (this.#namespace === null || !isSettled || (this.#hasPublished && !auto)) return;
    try {
      if (this.#hasPublished) await this.#publish(session, this.#namespace, []);
      else await this.#publishAll(session, this.#namespace);
      this.#hasPublished = true;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      log.warn(`ports are not published after a network was ${kind}: ${error.message}`);
    }
  }

  #onEnd(how: SessionEnd): void {
    this.#session = null;
    // Before, the pending request fails instead, as it does while it joins again.
    if (!this.#isUp || this.#isRejoining || this.#namespace === null) return;
    void this.#rejoin(how, this.#namespace);
  }

  /** Gets names, addresses and attachments back from the next daemon while the command runs on. */
  async #rejoin(how: SessionEnd, namespace: NamespaceRef): Promise<void> {
    this.#isRejoining = true;
    let isTold = false;
    for (let state = how; ; ) {
      await delay(state === "lost" ? LOST_RETRY : STOPPED_RETRY);
      try {
        if (await this.#tryAgain(state, namespace)) break;
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        if (!isTold) log.warn(`not back on the network yet: ${error.message}`);
        isTold = true;
        // Retried: another command may be starting the daemon, or another member have the name for now.
        state = how;
      }
    }
    this.#isRejoining = false;
  }

  /** Starts a lost daemon again, but not one that was stopped. @returns whether there was a daemon to join */
  async #tryAgain(how: SessionEnd, namespace: NamespaceRef): Promise<boolean> {
    const onEnd = (end: SessionEnd): void => this.#onEnd(end);
    const session =
      how === "lost"
        ? await openOrStart(this.#paths, this.#loop, onEnd)
        : await Session.open(this.#paths.socket, this.#loop, onEnd);
    if (session === null) return false;
    try {
      const { id, name, hosts } = this.#member;
      const attachments = this.#places.map((place) => rejoining(place, id));
      const own = { id, name, hosts: [...hosts], namespace, attachments, keepsTaps: true };
      await this.#joinBy(session, { ...this.#spec.join, ...own });
      await this.#attach(namespace);
      return true;
    } catch (error) {
      this.#session = null;
      session.close();
      throw error;
    }
  }
}

/** @param id of the member; the daemon adds its short form to the aliases again */
function rejoining({ given, interface: made }: Place, id: string): JoinSpec["attachments"][number] {
  const { network, addresses, mac, aliases } = given;
  return {
    network,
    mac,
    aliases: aliases.filter((each) => each !== shortId(id)),
    addresses: addresses.map(({ address }) => address),
    ifname: made?.ifname ?? given.ifname,
  };
}
