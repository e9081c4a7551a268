/** An existing network namespace. */
export interface NamespaceTarget {
  readonly kind: "namespace";
  /** Its file. */
  readonly netns: string;
  /** File of the user namespace to enter, or null for the owner of the network namespace. */
  readonly userns: string | null;
  /** The process with which the network ends, if the namespace was named by one. */
  readonly pid: number | null;
}

/** What to send from. */
export interface OutboundOption {
  /** The option that said so. */
  readonly option: string;
  /** An address or an interface. */
  readonly source: string;
}
