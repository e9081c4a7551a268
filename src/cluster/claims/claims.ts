import { UserError } from "../../base/errors.js";
import type { Store } from "../../store/store.js";
import type { Claim, Wish } from "../cluster.js";
import { MOST_NAMES } from "../encoding/member.js";
import type { Owner } from "../encoding/owner.js";
import type { MemberRecord, NetworkRecord } from "../records.js";
import type { Leases, Session } from "../session.js";
import { type ClaimContext, HeldClaim } from "./held-claim.js";
import { RestingLeases } from "./resting.js";
import { type Identity, type Surroundings, take, UnsureError, type Wanted } from "./taking.js";

/** Claims that are restored at the same time. */
const AT_ONCE = 8;

export interface ClaimEvents {
  /** Others see the member from now on. */
  readonly onAnnounced: (member: MemberRecord) => void;
  /** They see it no more. */
  readonly onReleased: (member: MemberRecord) => void;
  readonly onLost: (claim: Claim, why: string) => void;
}

/** What the members of this host have. */
export class Claims {
  readonly #host: string;
  readonly #session: Session;
  readonly #around: Surroundings;
  readonly #events: ClaimEvents;
  readonly #context: ClaimContext;
  readonly #resting: RestingLeases;
  /** Also those that are released but not yet in the store. */
  readonly #claims = new Set<HeldClaim>();
  /** Members that something is being claimed for, once for each claim. */
  #claiming: readonly string[] = [];

  constructor(
    store: Store,
    host: string,
    session: Session,
    around: Omit<Surroundings, "isLeft" | "reserved" | "store">,
    events: ClaimEvents,
  ) {
    this.#host = host;
    this.#session = session;
    this.#events = events;
    this.#resting = new RestingLeases(store);
    this.#around = {
      ...around,
      store,
      reserved: new Set(),
      isLeft: (owner) => this.#isLeft(owner),
    };
    this.#context = {
      around: this.#around,
      session,
      resting: this.#resting,
      isNameShared: (claim) => this.#isNameShared(claim),
      onAnnounced: events.onAnnounced,
      onEnd: ({ record }) => events.onReleased(record),
      onGone: (claim) => void this.#claims.delete(claim),
    };
  }

  get around(): Surroundings {
    return this.#around;
  }

  get resting(): RestingLeases {
    return this.#resting;
  }

  /** Whether the members of this host have nothing. */
  get isEmpty(): boolean {
    return this.#claims.size === 0;
  }

  /** The members on a network that others see, or are to see. */
  announcedOn(network: string): readonly MemberRecord[] {
    return [...this.#claims]
      .filter(({ isAnnounced, record }) => isAnnounced && record.network === network)
      .map(({ record }) => record);
  }

  /** Whether members of this host are on the network, or come to be. */
  isUsing(network: string): boolean {
    return this.#alive().some(({ record }) => record.network === network);
  }

  /** @throws UserError */
  async claim(wish: Wish, network: NetworkRecord): Promise<HeldClaim> {
    const { leases } = this.#session;
    const { id } = wish.member;
    this.#claiming = [...this.#claiming, id];
    try {
      await Promise.all(this.#of(id).map((claim) => claim.settled()));
      return await this.#take(wish, network, leases);
    } finally {
      this.#claiming = this.#claiming.toSpliced(this.#claiming.indexOf(id), 1);
    }
  }

  /** The store may have lost all of it. */
  doubt(): void {
    for (const claim of this.#claims) claim.doubt();
  }

  /** Has the store as the claims are. @throws StoreError */
  async restore(leases: Leases): Promise<void> {
    const left = [...this.#claims];
    const worker = async (): Promise<void> => {
      for (let claim = left.pop(); claim !== undefined; claim = left.pop()) {
        await this.#restore(claim, leases);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  /** What was asked for while the claims were restored. */
  settle(): void {
    for (const claim of this.#claims) void this.#settle(claim);
  }

  close(): void {
    this.#resting.close();
  }

  async #take(wish: Wish, network: NetworkRecord, leases: Leases): Promise<HeldClaim> {
    const { member, addresses, mac } = wish;
    const names = namesOf(wish);
    const hold = (identity: Identity, on: Leases | null): HeldClaim =>
      this.#hold(recordOf(wish, names, this.#host, identity), network, on);
    const wanted: Wanted = {
      network,
      host: this.#host,
      member: member.id,
      name: member.name,
      addresses,
      isCompleted: true,
      mac,
      leases,
      record: () => [],
      isOurs: false,
    };
    try {
      return hold(await take(wanted, this.#around), leases);
    } catch (error) {
      if (!(error instanceof UnsureError)) throw error;
      hold(error.identity, null);
      this.#session.renew(error.message);
      throw error;
    }
  }

  #hold(record: MemberRecord, network: NetworkRecord, leases: Leases | null): HeldClaim {
    const claim = new HeldClaim(record, network, this.#host, this.#context, leases);
    this.#claims.add(claim);
    if (leases !== this.#session.current) void this.#settle(claim);
    return claim;
  }

  async #settle(claim: HeldClaim): Promise<void> {
    try {
      await claim.settle();
    } catch (error) {
      this.#onLost(claim, error);
    }
  }

  async #restore(claim: HeldClaim, leases: Leases): Promise<void> {
    try {
      await claim.restore(leases);
    } catch (error) {
      if (claim.isAlive) throw error;
      this.#onLost(claim, error);
    }
  }

  #onLost(claim: HeldClaim, error: unknown): void {
    if (!(error instanceof UserError)) throw error;
    this.#events.onLost(claim, error.message);
  }

  /** A daemon of this host that is no more, whose leases have not ended yet, had what no member of ours has. */
  #isLeft({ host, member }: Owner): boolean {
    return host === this.#host && !this.#claiming.includes(member) && this.#of(member).length === 0;
  }

  #isNameShared(claim: HeldClaim): boolean {
    const others = this.#of(claim.member).filter((each) => each !== claim && each.isAlive);
    return others.length > 0 || this.#claiming.includes(claim.member);
  }

  #of(member: string): readonly HeldClaim[] {
    return [...this.#claims].filter((claim) => claim.member === member);
  }

  #alive(): readonly HeldClaim[] {
    return [...this.#claims].filter(({ isAlive }) => isAlive);
  }
}

/** @throws UserError when there are too many */
function namesOf({ member, aliases }: Wish): readonly string[] {
  const names = new Set([member.name, ...aliases].map((name) => name.toLowerCase()));
  if (names.size <= MOST_NAMES) return [...names];
  throw new UserError(
    `member ${member.name} has ${names.size} names: ${MOST_NAMES} at most are known on an overlay`,
  );
}

function recordOf(
  { network, member }: Wish,
  names: readonly string[],
  host: string,
  { addresses, mac }: Identity,
): MemberRecord {
  const location = { kind: "host", host } as const;
  return { network, id: member.id, names, addresses, mac, location };
}
