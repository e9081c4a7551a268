import type { Entry, Store, StoreError } from "./store.js";

/** `current`: what is reported is what the store has. `stale`: it may have changed meanwhile. */
export type MirrorState = "current" | "stale";

export interface MirrorEvents {
  /** A key that is new, or has another value. */
  readonly onPut: (entry: Entry) => void;
  readonly onDelete: (key: string) => void;
  /** @param why null: current */
  readonly onState: (state: MirrorState, why: StoreError | null) => void;
}

/** Reports what is below a prefix, and each change, until it is closed. */
export interface Mirror {
  readonly state: MirrorState;
  close(): void;
}

/** Follows a prefix, which ends with "/" or is empty. It is stale, without a reason, until it has been read once. */
export type OpenMirror = (store: Store, prefix: string, events: MirrorEvents) => Mirror;
