import type { Address } from "../base/address.js";
import { logText } from "../base/errors.js";
import { log } from "../base/log.js";
import { formatMac } from "../base/mac.js";
import type { AttachmentIdentity } from "../network/guard.js";
import type { NamedMember } from "../network/names.js";
import type { GivenAttachment } from "../rpc/messages.js";
import { duplicateFd } from "../sys/duplicate-fd.js";
import { native } from "../sys/native.js";
import type { TapStore } from "../sys/tap-store.js";
import type { Hosts } from "./hosts.js";
import type { Network } from "./network.js";
import type { AttachmentConfig } from "./workers/messages.js";
import type { DataPlane, ServedAttachment } from "./workers/plane.js";

/*
 * States of an attachment, and the state that each event leads to. Other events do not occur, or change nothing.
 *
 *   state      event                                                    next state
 *   (none)     member.join                                              reserved
 *   reserved   member.attach brings its TAP                             starting
 *              member.disconnect; its client or process has gone        released
 *   starting   its thread serves it                                     served
 *              its thread refuses it; member.attach fails               reserved
 *              its thread dies; member.attach fails                     as served
 *              any other event of "served"                              as served
 *   served     its thread dies, the daemon has its TAP, and fewer than
 *              MOST_LOSSES threads have died with it                    starting
 *              its thread dies otherwise                                released; its client joins again
 *              its TAP fails                                            released
 *              member.disconnect; its process has gone                  released
 *              its client has gone, and the member does not stay        draining
 *   draining   what it sent last is passed on, or 5 s are over          released
 *
 * Reserved: it has names, addresses and a MAC, and no thread serves it (`served` is null). A refusal while it is
 * started again after its thread has died releases it. Draining: other members no longer find its names; its
 * addresses are still taken. Released: the network has its addresses and MAC back, and its TAP is closed.
 */

/** An attachment with which this many threads have died may be the cause, and is not served again. */
const MOST_LOSSES = 3;

/** What holds at all attachments of a member. */
export interface MemberSettings {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  /** Whether it outlives its client: the daemon keeps its TAPs, and the next daemon joins it again. */
  readonly stays: boolean;
  readonly hosts: Hosts;
  readonly dns: readonly Address[];
  readonly hostLoopback: boolean;
  /** The host's addresses that it sends from, at most one of each family. */
  readonly sources: readonly Address[];
}

/** What attachments need of the daemon. */
export interface AttachmentContext {
  /** Where they are served. */
  readonly plane: Pick<DataPlane, "attach" | "learn" | "forget">;
  /** Where TAPs outlive this daemon. */
  readonly store: Pick<TapStore, "keep" | "drop">;
  /** Called when one can no longer be served; the callee ends it. @param isLost its thread has died */
  readonly onEnded: (attachment: Attachment, isLost: boolean) => void;
  /** Called when one is served again after its thread has died. */
  readonly onServedAgain: (attachment: Attachment) => Promise<void>;
  /** Called when its published ports have changed. @param ports in the notation of --publish */
  readonly onPorts: (attachment: Attachment, ports: readonly string[]) => void;
}

/** A TAP that outlives the thread that serves it, and this daemon. */
interface KeptTap {
  /** A handle. */
  readonly tap: number;
  readonly close: () => void;
}

/** What a network has reserved for an attachment. */
export interface Reservation {
  readonly network: Network;
  readonly identity: AttachmentIdentity;
  readonly named: NamedMember;
  /** Name of the interface; null: the client chooses it. */
  readonly ifname: string | null;
}

/** A member's attachment to one network: an interface in its namespace, served by a guest in some thread. */
export class Attachment {
  readonly member: MemberSettings;
  readonly network: Network;
  readonly identity: AttachmentIdentity;
  readonly named: NamedMember;
  readonly #context: AttachmentContext;
  #ifname: string | null;
  #served: ServedAttachment | null = null;
  /** The TAP of a member that stays, to serve it again by; null: its client has it. */
  #kept: KeptTap | null = null;
  /** How many threads have died while they served it. */
  #losses = 0;

  constructor(context: AttachmentContext, member: MemberSettings, reservation: Reservation) {
    const { network, identity, named, ifname } = reservation;
    this.#context = context;
    this.member = member;
    this.network = network;
    this.identity = identity;
    this.named = named;
    this.#ifname = ifname;
  }

  /** null until its TAP arrives. */
  get served(): ServedAttachment | null {
    return this.#served;
  }

  get ifname(): string | null {
    return this.#ifname;
  }

  /** What its client is told of it. */
  get given(): GivenAttachment {
    const { name, mtu, internal } = this.network.definition;
    const addresses = this.network.plansFor(this.identity).map(({ guest, prefix, gateway }) => ({
      address: `${guest}`,
      subnet: `${prefix}`,
      gateway: `${gateway}`,
    }));
    const mac = formatMac(this.identity.mac);
    const aliases = this.named.names.slice(1);
    return { network: name, ifname: this.#ifname, mac, mtu, internal, aliases, addresses };
  }

  /**
   * Has it served by a thread; it is not yet.
   * @param tap stays the caller's, who may close it when the promise settles
   * @throws UserError when its thread refuses it
   */
  async attach(ifname: string, tap: number): Promise<void> {
    this.#ifname = ifname;
    this.#kept?.close();
    this.#kept = null;
    const { id, stays } = this.member;
    if (stays) this.#kept = this.#keep(storeName(id, this.network), tap);
    await this.#serve(tap);
  }

  /**
   * Ends it. Its names are free at once, and its addresses, too, unless it is drained.
   * @param isDrained what the member sent last is passed on before
   * @returns resolves when its addresses are free
   */
  async end(isDrained: boolean): Promise<void> {
    const served = this.#served;
    if (served !== null) {
      this.#context.plane.forget(nameKey(served));
      const detached = served.detach(isDrained);
      // A thread carries out its messages in order: who gets the addresses next comes after this.
      if (isDrained) await detached;
    }
    this.#release();
  }

  /** @throws UserError */
  async #serve(tap: number): Promise<void> {
    const { plane } = this.#context;
    const served = plane.attach(this.#config(tap), {
      onGone: (why, isLost) => this.#onGone(why, isLost),
      onPorts: (ports) => this.#context.onPorts(this, ports),
    });
    this.#served = served;
    const { names, addresses } = this.named;
    const network = this.network.definition.id;
    plane.learn(nameKey(served), { kind: "name", network, names, addresses: textsOf(addresses) });
    try {
      await served.isUp;
    } catch (error) {
      plane.forget(nameKey(served));
      // Another thread may serve it by now.
      if (this.#served === served) this.#served = null;
      throw error;
    }
  }

  #onGone(why: string, isLost: boolean): void {
    log.info(`${this.member.name} has left ${this.network.name}: ${why}`);
    if (isLost && this.#kept !== null && this.#losses < MOST_LOSSES) {
      void this.#serveAgain(this.#kept.tap);
      return;
    }
    this.#context.onEnded(this, isLost);
  }

  async #serveAgain(tap: number): Promise<void> {
    this.#losses += 1;
    if (this.#served !== null) this.#context.plane.forget(nameKey(this.#served));
    try {
      await this.#serve(tap);
      await this.#context.onServedAgain(this);
    } catch (error) {
      log.error(`${this.member.name} is not served again: ${logText(error)}`);
      if (this.#served === null) this.#context.onEnded(this, false);
    }
  }

  #keep(name: string, given: number): KeptTap {
    const tap = duplicateFd(given);
    const { store } = this.#context;
    store.keep(name, tap);
    const close = (): void => {
      store.drop(name);
      native.close(tap);
    };
    return { tap, close };
  }

  #release(): void {
    this.network.release(this.identity);
    this.#kept?.close();
    this.#kept = null;
  }

  #config(tap: number): AttachmentConfig {
    const { id, hostname, hosts, dns, hostLoopback, sources } = this.member;
    const { mac, addresses } = this.identity;
    return {
      network: this.network.definition.id,
      member: id,
      mac,
      addresses: textsOf(addresses),
      hostname,
      hosts: [...hosts].map(([name, own]) => [name, textsOf(own)] as const),
      dns: textsOf(dns),
      hostLoopback,
      sources: textsOf(sources),
      tap,
    };
  }
}

/** Under which the store has the TAP of an attachment: two ids of 64 characters. */
export function storeName(member: string, { definition }: Network): string {
  return member + definition.id;
}

/** Under which threads know the names of an attachment. */
function nameKey({ number }: ServedAttachment): string {
  return `name ${number}`;
}

function textsOf(addresses: readonly Address[]): readonly string[] {
  return addresses.map((address) => `${address}`);
}
