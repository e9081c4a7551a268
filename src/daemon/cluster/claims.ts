import type { Address } from "../../base/address.js";
import { logText } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { formatMac, type Mac } from "../../base/mac.js";
import type { Claim, Cluster, Wish } from "../../cluster/cluster.js";
import { StoreError } from "../../store/store.js";
import type { ReservationEvents } from "../network.js";

/*
 * States of a stake, and the state that each event leads to. Other events do not occur, or change nothing.
 *
 *   state      event                                             next state
 *   (none)     member.join, and the cluster gives it             held
 *              the state file has it                             pending
 *   pending    the store is there, and the cluster gives it      held
 *              the store is there, and the cluster refuses it    (none); its attachment ends
 *   held       its TAP is attached                               shown
 *   any        another host has it                               (none); its attachment ends
 *              nothing uses it any more                          (none); it is released
 *
 * Shown: others see the member, as soon as the store is there. A stake is used by each request that took it, until that is
 * answered, and by its attachment, from when the network reserves the addresses until it releases them.
 */

/** After which a claim that failed at the store is tried again, in ms. */
const RETRY = 1_000;

/** What a member of this host has on an overlay. */
export interface Stake {
  readonly network: string;
  readonly member: string;
  readonly mac: Mac;
  readonly addresses: readonly Address[];
}

interface OwnStake extends Stake {
  /** What it was given: by the cluster, or by the daemon before. */
  readonly wish: Wish & { readonly mac: Mac };
  /** null: pending. */
  claim: Claim | null;
  /** Whether the cluster is being asked for it. */
  isAsked: boolean;
  users: number;
  /** Whether others are to see the member, and whether they do. */
  isShown: boolean;
  isAnnounced: boolean;
}

export interface ClaimsContext {
  readonly cluster: Pick<Cluster, "claim" | "state">;
  /** The first stake in a network is there, or the last is gone. */
  readonly onUsed: (network: string) => void;
  readonly onUnused: (network: string) => void;
  /** Another host has what a member of this one had. */
  readonly onLost: (stake: Stake, why: string) => void;
}

/** What members of this host have on overlays. */
export class Claims implements ReservationEvents {
  readonly #context: ClaimsContext;
  /** By network and MAC. */
  readonly #stakes = new Map<string, OwnStake>();

  constructor(context: ClaimsContext) {
    this.#context = context;
  }

  /**
   * Takes what a member wishes. What it has already, as it comes back, stays.
   * @returns until release(), this request uses it
   * @throws UserError when something of it is taken, or the store is away
   */
  async take(wish: Wish): Promise<Stake> {
    const known = this.#all.find((stake) => isWished(wish, stake));
    if (known !== undefined) {
      known.users += 1;
      return known;
    }
    const claim = await this.#context.cluster.claim(wish);
    const { addresses, mac } = claim.record;
    const stake = this.#add({ ...wish, addresses, mac }, claim);
    stake.users += 1;
    return stake;
  }

  /** Takes what an attachment has had with the daemon before, as soon as the store is there. */
  adopt(wish: Wish & { readonly mac: Mac }): void {
    const stake = this.#add(wish, null);
    stake.users += 1;
    if (this.#context.cluster.state === "connected") void this.#claim(stake);
  }

  release({ network, mac }: Stake): void {
    const stake = this.#stakes.get(keyOf(network, mac));
    if (stake === undefined) return;
    stake.users -= 1;
    if (stake.users > 0) return;
    this.#remove(stake);
    if (stake.claim !== null) release(stake.claim);
  }

  onReserved(network: string, mac: Mac): void {
    const stake = this.#stakes.get(keyOf(network, mac));
    if (stake !== undefined) stake.users += 1;
  }

  onReleased(network: string, mac: Mac): void {
    const stake = this.#stakes.get(keyOf(network, mac));
    if (stake !== undefined) this.release(stake);
  }

  /** Others see the member from now on, or as soon as the store is there. */
  async show(network: string, mac: Mac): Promise<void> {
    const stake = this.#stakes.get(keyOf(network, mac));
    if (stake === undefined) return;
    stake.isShown = true;
    await this.#announce(stake);
  }

  /** The store is there again: what could not be said is said now. */
  async onConnected(): Promise<void> {
    await Promise.all(this.#all.map((stake) => this.#claim(stake)));
  }

  onClaimLost(claim: Claim, why: string): void {
    const stake = this.#all.find((each) => each.claim === claim);
    if (stake !== undefined) this.#lose(stake, why);
  }

  get #all(): readonly OwnStake[] {
    return [...this.#stakes.values()];
  }

  #add(wish: Wish & { readonly mac: Mac }, claim: Claim | null): OwnStake {
    const { network, mac, addresses } = wish;
    const state = { claim, isAsked: false, users: 0, isShown: false, isAnnounced: false };
    const stake: OwnStake = { network, member: wish.member.id, mac, addresses, wish, ...state };
    const isFirst = !this.#all.some((each) => each.network === network);
    this.#stakes.set(keyOf(network, mac), stake);
    if (isFirst) this.#context.onUsed(network);
    return stake;
  }

  #remove({ network, mac }: OwnStake): void {
    this.#stakes.delete(keyOf(network, mac));
    if (!this.#all.some((each) => each.network === network)) this.#context.onUnused(network);
  }

  #lose(stake: OwnStake, why: string): void {
    this.#remove(stake);
    this.#context.onLost(stake, why);
  }

  /** Whether it is still there: while the store was asked its attachment may have ended. */
  #isCurrent(stake: OwnStake): boolean {
    return this.#stakes.get(keyOf(stake.network, stake.mac)) === stake;
  }

  async #claim(stake: OwnStake): Promise<void> {
    if (stake.isAsked) return;
    stake.isAsked = true;
    try {
      const claim = stake.claim ?? (await this.#context.cluster.claim(stake.wish));
      if (!this.#isCurrent(stake)) {
        release(claim);
        return;
      }
      stake.claim = claim;
      if (stake.isShown) await this.#announce(stake);
    } catch (error) {
      if (error instanceof StoreError) this.#retry(stake);
      else if (this.#isCurrent(stake)) this.#lose(stake, logText(error));
    } finally {
      stake.isAsked = false;
    }
  }

  /** While the store is away, onConnected() is next. */
  #retry(stake: OwnStake): void {
    const timer = setTimeout(() => {
      const isThere = this.#context.cluster.state === "connected";
      if (isThere && this.#isCurrent(stake)) void this.#claim(stake);
    }, RETRY);
    timer.unref();
  }

  async #announce(stake: OwnStake): Promise<void> {
    if (stake.claim === null || stake.isAnnounced) return;
    try {
      await stake.claim.announce();
      stake.isAnnounced = true;
    } catch (error) {
      log.warn(`${stake.wish.member.name} is not announced to other hosts: ${logText(error)}`);
    }
  }
}

/** Whether a member that comes back wishes what it has. */
function isWished(wish: Wish, { network, member, wish: own }: OwnStake): boolean {
  if (network !== wish.network || member !== wish.member.id) return false;
  if (wish.mac !== null && wish.mac !== own.mac) return false;
  return wish.addresses.every((wished) => own.addresses.some((each) => each.equals(wished)));
}

/** Outside of the wake-up in which a member may have ended: promises are not served there. */
function release(claim: Claim): void {
  setImmediate(() => {
    claim.release().catch((error: unknown) => {
      const { names, mac } = claim.record;
      log.warn(`what ${names[0] ?? formatMac(mac)} had is not given back: ${logText(error)}`);
    });
  });
}

function keyOf(network: string, mac: Mac): string {
  return `${network} ${mac}`;
}
