/** Between the bench of the control plane and the processes with its hosts. */

/** How the cluster is laid out: each host has members on some of the networks, the same number on each. */
export interface Layout {
  readonly hosts: number;
  readonly members: number;
  readonly networks: number;
  /** On which a host has members. */
  readonly networksPerHost: number;
}

/** A member that joins when all others have. */
export interface Late {
  readonly name: string;
  /** Number of its host. */
  readonly host: number;
  /** Number of its network, which is one of the host's. */
  readonly network: number;
}

export type Order =
  /** Has hosts join: `count` from number `first` on. */
  | { readonly kind: "join"; readonly first: number; readonly count: number }
  | { readonly kind: "create networks" }
  /** Has each of the hosts take and announce its members. */
  | { readonly kind: "populate" }
  /** Tells what will be reported: the process says so when all of its hosts that should see it have. */
  | { readonly kind: "expect"; readonly late: Late }
  | { readonly kind: "join late"; readonly late: Late }
  | { readonly kind: "count connected" };

/** What ends an order. `value`: of "count connected" how many hosts are. */
export type Answer =
  | { readonly kind: "done"; readonly value: number }
  | { readonly kind: "failed"; readonly reason: string };

/** @property at monotonic time, ns, when the last host saw it; empty: no host of the process should */
export interface Seen {
  readonly kind: "seen";
  readonly name: string;
  readonly at: string;
}

export type Message = Answer | Seen;

/** The networks of a host, by number. */
export function networksOf(host: number, { networks, networksPerHost }: Layout): number[] {
  return Array.from({ length: networksPerHost }, (_, i) => (host * networksPerHost + i) % networks);
}

export function networkName(index: number): string {
  return `network-${index}`;
}
