import type { Address } from "../base/address.js";

/** RFC 1123 §2.1: letters, digits and hyphens, 63 at most. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** Whether a text can be a member's name or alias. */
export function isLabel(text: string): boolean {
  return LABEL.test(text);
}

/** A member as its network knows it. */
export interface NamedMember {
  /** Its own name first, then aliases; labels in lower case. */
  readonly names: readonly string[];
  /** At most one a family. */
  readonly addresses: readonly Address[];
}

/**
 * The names of one network. Several members with one alias answer in turn, one at a time: clients
 * sort what they get (RFC 6724 §6), so of a list that is turned they would take the same one always.
 */
export class NetworkNames {
  readonly #members = new Map<string, NamedMember[]>();
  readonly #owners = new Map<string, NamedMember>();
  /** How often a name was asked for, by name and type: A and AAAA of one lookup belong together. */
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
    for (const address of member.addresses) this.#owners.delete(address.toString());
  }

  /**
   * The addresses of the member whose turn it is.
   * @param name in lower case
   * @param type of the records asked for: each type has its turns
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

  /** The own name and the aliases of who has the address. */
  namesOf(address: Address): readonly string[] | undefined {
    return this.#owners.get(address.toString())?.names;
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
