import type { Address } from "../base/address.js";

/** The DNS server of a guest. */
export interface DnsConfig {
  readonly upstream: Upstream;
  readonly records: NameTable;
}

/** Names that Slipway answers itself. A Map whose keys are names in lower case is one. */
export interface NameTable {
  /**
   * The addresses of a name, of both families.
   * @param name in lower case
   * @param type of the record asked for, such as "A"
   * @returns undefined when the name is not in the table
   */
  get(name: string, type: string): readonly Address[] | undefined;
  /** The name of the owner of an address. */
  nameOf?(address: Address): string | undefined;
  /** Whether only this table knows such a name, or whose an address is: what it does not have does not exist. */
  isOurs?(subject: string | Address): boolean;
}

/** The name servers for all other names. The values may change between reads. */
export interface Upstream {
  /** In order of preference. */
  readonly servers: readonly Address[];
  /** Search domains for short names. */
  readonly search: readonly string[];
}
