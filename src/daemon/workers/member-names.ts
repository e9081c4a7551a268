import { Address } from "../../base/address.js";
import { HOST_NAMES } from "../../config/constants.js";
import type { NameTable } from "../../config/dns-config.js";
import { isValidName } from "../../config/names.js";
import { canBePublic, type NetworkNames } from "../../network/names.js";

/** A network whose names are looked up. */
export interface NamedNetwork {
  /** In lower case. */
  readonly name: string;
  readonly names: NetworkNames;
}

/** What a member may know. */
export interface MemberNamesContext {
  /** The networks that it is on, in the order in which names are looked up. */
  readonly networks: () => readonly NamedNetwork[];
  /** Whether an address is on some network of the daemon. */
  readonly isInside: (address: Address) => boolean;
  /** Further names, in lower case. */
  readonly hosts: ReadonlyMap<string, readonly Address[]>;
  /** The addresses at which the member reaches the host. */
  readonly host: () => readonly Address[];
}

/**
 * The names that a member can resolve: its own further names, those of its networks, with or without `.NETWORK` behind
 * them, and those of the host.
 */
export class MemberNames implements NameTable {
  readonly #context: MemberNamesContext;

  constructor(context: MemberNamesContext) {
    this.#context = context;
  }

  get(name: string, type: string): readonly Address[] | undefined {
    const { hosts, host } = this.#context;
    return (
      hosts.get(name) ??
      this.#ofMember(name, type) ??
      (HOST_NAMES.includes(name) ? host() : undefined)
    );
  }

  /** In docker's form, with the network: that name leads to this address, whatever other networks its owner is on. */
  nameOf(address: Address): string | undefined {
    for (const { names, name: network } of this.#context.networks()) {
      const found = names.nameOf(address);
      if (found === undefined) continue;
      const whole = `${found}.${network}`;
      return isValidName("alias", whole) ? whole : found;
    }
    return undefined;
  }

  /**
   * Addresses of all networks, and names below a network that the member is on, unless such a name may exist in the
   * world: members of a network `com` still resolve example.com.
   */
  isOurs(subject: string | Address): boolean {
    const { networks, isInside } = this.#context;
    if (subject instanceof Address) return isInside(subject);
    return networks().some(({ name }) => nameBefore(name, subject) !== null && !canBePublic(name));
  }

  /** As in docker, the whole name comes first, as names may have dots; then a name and its network. */
  #ofMember(name: string, type: string): readonly Address[] | undefined {
    const networks = this.#context.networks();
    for (const { names } of networks) {
      const found = names.addressesOf(name, type);
      if (found !== undefined) return found;
    }
    for (const { names, name: network } of networks) {
      const own = nameBefore(network, name);
      const found = own === null ? undefined : names.addressesOf(own, type);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** What is before `.NETWORK` in a name; null when it does not end so. */
function nameBefore(network: string, name: string): string | null {
  return name.endsWith(`.${network}`) ? name.slice(0, -network.length - 1) : null;
}
