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
  /** The names of an address, its own name first. */
  namesOf?(address: Address): readonly string[] | undefined;
}

/** The name servers for all other names. The values may change between reads. */
export interface Upstream {
  /** In order of preference. */
  readonly servers: readonly Address[];
  /** Search domains for short names. */
  readonly search: readonly string[];
}
