import { type Operation, StoreError } from "../../store/store.js";
import type { Claim } from "../cluster.js";
import { encodeMember } from "../encoding/member.js";
import { memberKey } from "../keys.js";
import type { MemberRecord, NetworkRecord } from "../records.js";
import type { Leases, Session } from "../session.js";
import { type Given, giveBack } from "./giving.js";
import type { RestingLeases } from "./resting.js";
import { type Surroundings, take, UnsureError, type Wanted } from "./taking.js";

/*
 * | phase     | event                                   | next      | what is done                                       |
 * |-----------|-----------------------------------------|-----------|----------------------------------------------------|
 * | held      | announce()                              | announced | the member's record is put, now or at restore()    |
 * | held, announced | restore()                         | the same  | all that the store may not have is put             |
 * | held, announced | restore(): somebody has a part of it | lost | what is left is given back                         |
 * | held, announced | release()                         | released  | it is given back, now or at restore()              |
 * | lost, released | anything                           | the same  | nothing                                            |
 */
type Phase = "held" | "announced" | "lost" | "released";

/** What all claims of a host share. */
export interface ClaimContext {
  readonly around: Surroundings;
  readonly session: Session;
  readonly resting: RestingLeases;
  /** Whether another claim of the same member needs its name. */
  readonly isNameShared: (claim: HeldClaim) => boolean;
  readonly onAnnounced: (record: MemberRecord) => void;
  /** It is given back, or lost. */
  readonly onEnd: (claim: HeldClaim) => void;
  /** Nothing of it is in the store any more. */
  readonly onGone: (claim: HeldClaim) => void;
}

/** A claim of a host. */
export class HeldClaim implements Claim {
  readonly record: MemberRecord;
  readonly network: NetworkRecord;
  readonly #host: string;
  readonly #context: ClaimContext;
  #phase: Phase;
  /** What the store has for sure: on which leases, and whether with the member's record. */
  #stored: { readonly leases: Leases; readonly phase: Phase } | null;
  /** Its calls of the store, one after the other. */
  #last: Promise<void> = Promise.resolve();

  /**
   * @param host id of this host
   * @param leases on which the store has it; null: it may be there, and is to be given back
   */
  constructor(
    record: MemberRecord,
    network: NetworkRecord,
    host: string,
    context: ClaimContext,
    leases: Leases | null,
  ) {
    this.record = record;
    this.network = network;
    this.#host = host;
    this.#context = context;
    this.#phase = leases === null ? "released" : "held";
    this.#stored = leases === null ? null : { leases, phase: "held" };
  }

  async announce(): Promise<void> {
    if (this.#phase !== "held") return;
    this.#phase = "announced";
    this.#context.onAnnounced(this.record);
    await this.settle();
  }

  async release(): Promise<void> {
    if (this.#phase !== "held" && this.#phase !== "announced") return;
    this.#phase = "released";
    this.#context.onEnd(this);
    await this.settle();
  }

  get member(): string {
    return this.record.id;
  }

  /** Whether it is neither released nor lost. */
  get isAlive(): boolean {
    return this.#phase === "held" || this.#phase === "announced";
  }

  get isAnnounced(): boolean {
    return this.#phase === "announced";
  }

  /** The store may have lost it. */
  doubt(): void {
    this.#stored = null;
  }

  /** Whether what was asked for is done. */
  async settled(): Promise<void> {
    await this.#last;
  }

  /** As restore(), now if the store is there; otherwise it is left to whoever calls that when it is back. */
  async settle(): Promise<void> {
    const { session } = this.#context;
    const leases = session.current;
    if (leases === null) return;
    try {
      await this.restore(leases);
    } catch (error) {
      if (!(error instanceof StoreError || error instanceof UnsureError)) throw error;
      this.doubt();
      session.renew(error.message);
    }
  }

  /**
   * Has the store as the claim is.
   * @throws StoreError
   * @throws UserError somebody has a part of it, or its network is gone: it is lost
   */
  restore(leases: Leases): Promise<void> {
    const next = this.#last.then(() => (this.isAlive ? this.#put(leases) : this.#giveBack()));
    this.#last = next.catch(() => {});
    return next;
  }

  async #put(leases: Leases): Promise<void> {
    const [phase, stored] = [this.#phase, this.#stored];
    if (stored?.leases === leases && stored.phase === phase) return;
    try {
      await this.#take(
        leases,
        phase === "announced",
        stored?.leases.addresses === leases.addresses,
      );
      this.#stored = { leases, phase };
    } catch (error) {
      if (error instanceof StoreError || error instanceof UnsureError) throw error;
      this.#phase = "lost";
      this.#context.onEnd(this);
      await this.#giveBackRest();
      throw error;
    }
  }

  /** What others do not have of a claim that is lost, now or when the store is back. */
  async #giveBackRest(): Promise<void> {
    try {
      await this.#giveBack();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#context.session.renew(error.message);
    }
  }

  async #take(leases: Leases, isAnnounced: boolean, isOurs: boolean): Promise<void> {
    const { network, id, names, addresses, mac } = this.record;
    const put: Operation = {
      kind: "put",
      key: memberKey(network, id),
      value: encodeMember(this.record),
      lease: leases.presence,
    };
    const wanted: Wanted = {
      network: this.network,
      host: this.#host,
      member: id,
      name: names[0],
      addresses,
      isCompleted: false,
      mac,
      leases,
      record: () => (isAnnounced ? [put] : []),
      isOurs,
    };
    await take(wanted, this.#context.around);
  }

  async #giveBack(): Promise<void> {
    const { network, id, names, addresses, mac } = this.record;
    const { around, resting } = this.#context;
    const given: Given = {
      ...{ network, host: this.#host, member: id, name: names[0], addresses, mac },
      keepsName: this.#context.isNameShared(this),
      key: memberKey(network, id),
    };
    await giveBack(around.store, given, await resting.get(), null);
    this.#context.onGone(this);
  }
}
