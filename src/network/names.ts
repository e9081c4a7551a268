import type { Address } from "../base/address.js";

/** A top-level domain of the public DNS: letters only (RFC 3696 §2), or an A-label (RFC 5890 §2.3.2.1). */
const PUBLIC_TOP_LEVEL = /(^|\.)([a-z]+|xn--[a-z0-9-]+)$/;

/**
 * Whether names below a domain may exist in the public DNS, now or later.
 * @param domain in lower case
 */
export function canBePublic(domain: string): boolean {
  return PUBLIC_TOP_LEVEL.test(domain);
}

/** The names and addresses of an attachment. */
export interface NamedMember {
  /** Its own name first, then aliases; in lower case. */
  readonly names: readonly string[];
  /** At most one of each family. */
  readonly addresses: readonly Address[];
}

/**
 * The names of one network. Of several members with one alias each answer has one, in turn: clients sort a list of
 * addresses (RFC 6724 §6), and would always use the same one.
 */
export class NetworkNames {
  readonly #members = new Map<string, NamedMember[]>();
  readonly #owners = new Map<string, NamedMember>();
  /** How often a name was looked up, by type and name: the A and AAAA query of one lookup get the same member. */
  readonly #asked = new Map<string, number>();

  add(member: NamedMember): void {
    for (const name of member.names) {
      const others = this.#members.get(name);
      if (others === undefined) this.#members.set(name, [member]);
      else others.push(member);
    }
    for (const address of member.addresses) this.#owners.set(address.toString(), member);
  }

  remove(member: NamedMember): void {
    for (const name of member.names) this.#forget(name, member);
    for (const address of member.addresses) {
      // Another member may have got the address meanwhile.
      const key = address.toString();
      if (this.#owners.get(key) === member) this.#owners.delete(key);
    }
  }

  /**
   * The addresses of a member with that name. If several have it, each query gets the next.
   * @param name in lower case
   * @param type of the records asked for; each type has its own turns
   */
  addressesOf(name: string, type: string): readonly Address[] | undefined {
    const members = this.#members.get(name);
    if (members === undefined) return undefined;
    if (members.length === 1) return members[0].addresses;
    const key = `${type} ${name}`;
    const count = this.#asked.get(key) ?? 0;
    this.#asked.set(key, count + 1);
    return members[count % members.length].addresses;
  }

  /** Name of the member that has the address. */
  nameOf(address: Address): string | undefined {
    return this.#owners.get(address.toString())?.names[0];
  }

  #forget(name: string, member: NamedMember): void {
    const left = this.#members.get(name)?.filter((each) => each !== member) ?? [];
    if (left.length > 0) {
      this.#members.set(name, left);
      return;
    }
    this.#members.delete(name);
    for (const key of [...this.#asked.keys()])
      if (key.endsWith(` ${name}`)) this.#asked.delete(key);
  }
}
