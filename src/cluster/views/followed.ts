import type { Address } from "../../base/address.js";
import type { Store } from "../../store/store.js";
import { encodeMember } from "../encoding/member.js";
import { memberKey, membersOf, peersOf } from "../keys.js";
import type { MemberRecord, NetworkRecord } from "../records.js";
import type { Complaints } from "./complaints.js";
import { addressStake, memberView } from "./members.js";
import { Mirrors } from "./mirrors.js";
import type { View } from "./view.js";

export interface FollowedEvents {
  /** A member on another host, or a peer. */
  readonly onMember: (member: MemberRecord) => void;
  readonly onMemberGone: (network: string, id: string) => void;
  /** The store no longer has the record of a member of this host. */
  readonly onOwnGone: () => void;
}

/** A network whose members are mirrored. */
export class FollowedNetwork {
  readonly #host: string;
  readonly #view: View<MemberRecord>;
  readonly #mirrors: Mirrors;
  /** Keys of members of this host that others see. */
  readonly #own = new Set<string>();

  /** @param host id of this host */
  constructor(
    store: Store,
    host: string,
    network: NetworkRecord,
    complaints: Complaints,
    events: FollowedEvents,
  ) {
    this.#host = host;
    this.#view = memberView(network, complaints, {
      onShown: (member) => {
        if (!this.#isOfThisHost(member)) events.onMember(member);
      },
      onHidden: (member) => {
        if (!this.#isOfThisHost(member)) events.onMemberGone(member.network, member.id);
      },
    });
    this.#mirrors = new Mirrors(store, [membersOf(network.id), peersOf(network.id)], {
      onPut: (entry) => {
        if (!this.#own.has(entry.key)) this.#view.put(entry);
      },
      onDelete: (key) => {
        if (this.#own.has(key)) events.onOwnGone();
        else this.#view.delete(key);
      },
    });
  }

  /** Resolves when the members that there are have been reported. @throws StoreError */
  current(): Promise<void> {
    return this.#mirrors.current();
  }

  isTaken(address: Address): boolean {
    return this.#view.hasStake(addressStake(address));
  }

  /** A member of this host, which nobody else can be. */
  addOwn(record: MemberRecord): void {
    const key = memberKey(record.network, record.id);
    this.#own.add(key);
    this.#view.put({ key, value: encodeMember(record), created: 0, modified: 0 });
  }

  removeOwn(record: MemberRecord): void {
    const key = memberKey(record.network, record.id);
    if (this.#own.delete(key)) this.#view.delete(key);
  }

  /** Reports all of them gone. */
  close(): void {
    this.#mirrors.close();
    this.#view.clear();
  }

  #isOfThisHost({ location }: MemberRecord): boolean {
    return location.kind === "host" && location.host === this.#host;
  }
}
