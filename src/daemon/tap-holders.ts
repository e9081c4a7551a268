import { START_LIMIT } from "../netns/run-process.js";
import type { AttachmentEvent } from "../rpc/messages.js";
import type { Client } from "./server.js";

/** How long an event may stay unconfirmed, in ms, before nobody waits for it any more. */
const CONFIRM_LIMIT = 3_000;

/** A client that keeps the TAPs of a member. */
interface Holder {
  readonly client: Client;
  /** Serial numbers of the last event, and of the last that it confirmed. */
  told: number;
  confirmed: number;
  isStarted: boolean;
  hasEnded: boolean;
  /** Called after each change. */
  readonly watchers: Set<() => void>;
}

/**
 * The clients that keep the TAPs of their members (`keepsTaps` of member.join), by the members' ids. A client that is
 * stopped confirms nothing, so each wait has a limit.
 */
export class TapHolders {
  readonly #holders = new Map<string, Holder>();

  add(member: string, client: Client): void {
    const counts = { told: 0, confirmed: 0, isStarted: false, hasEnded: false };
    this.#holders.set(member, { client, ...counts, watchers: new Set() });
  }

  /** The member has ended with its client. */
  remove(member: string): void {
    const holder = this.#holders.get(member);
    if (holder === undefined) return;
    this.#holders.delete(member);
    change(holder, { hasEnded: true });
  }

  /** Whether a member's TAPs are kept by another client than this one. */
  isElsewhere(member: string, client: Client): boolean {
    const holder = this.#holders.get(member);
    return holder !== undefined && holder.client !== client;
  }

  /** Tells who keeps the member's TAPs, if anybody. @param tap goes along; stays the caller's */
  tell(member: string, event: AttachmentEvent, tap: number | null = null): void {
    const holder = this.#holders.get(member);
    if (holder === undefined) return;
    holder.told += 1;
    holder.client.tell({ event, serial: holder.told }, tap);
  }

  confirm(client: Client, serial: number): void {
    for (const holder of this.#holders.values()) {
      if (holder.client === client && serial <= holder.told) {
        change(holder, { confirmed: Math.max(serial, holder.confirmed) });
      }
    }
  }

  /** @returns false when this client does not keep the member's TAPs, and nothing has changed */
  start(member: string, client: Client): boolean {
    const holder = this.#holders.get(member);
    if (holder?.client !== client) return false;
    change(holder, { isStarted: true });
    return true;
  }

  /** Waits until all that was told is confirmed, or the client has gone. @returns false when CONFIRM_LIMIT is over */
  whenConfirmed(member: string): Promise<boolean> {
    const holder = this.#holders.get(member);
    if (holder === undefined) return Promise.resolve(true);
    const { told } = holder;
    return until(holder, () => holder.confirmed >= told, CONFIRM_LIMIT);
  }

  /** Waits until the client has made the member's interfaces, or has gone. @returns false when START_LIMIT is over */
  whenStarted(member: string): Promise<boolean> {
    const holder = this.#holders.get(member);
    if (holder === undefined) return Promise.resolve(true);
    return until(holder, () => holder.isStarted, START_LIMIT);
  }
}

function change(holder: Holder, what: Partial<Holder>): void {
  Object.assign(holder, what);
  for (const look of [...holder.watchers]) look();
}

function until(holder: Holder, isDone: () => boolean, limit: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isInTime: boolean): void => {
      clearTimeout(timer);
      holder.watchers.delete(look);
      resolve(isInTime);
    };
    const look = (): void => {
      if (isDone() || holder.hasEnded) end(true);
    };
    const timer = setTimeout(() => end(false), limit);
    holder.watchers.add(look);
    look();
  });
}
