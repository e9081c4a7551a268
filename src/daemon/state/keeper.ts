import { type Lasting, writeState } from "./state-file.js";

/** Writes the state after each change. */
export class StateKeeper {
  readonly #path: string;
  readonly #lasting: () => Lasting;
  readonly #warn: (warning: string) => void;
  /** Whether changes are written: not while the state is restored, nor at the end, when threads and clients go. */
  isSaving = false;

  constructor(path: string, lasting: () => Lasting, warn: (warning: string) => void) {
    this.#path = path;
    this.#lasting = lasting;
    this.#warn = warn;
  }

  /** @throws UserError when it cannot be written */
  save(isDurable = true): void {
    if (this.isSaving) writeState(this.#path, this.#lasting(), isDurable);
  }

  /** After a change that cannot be undone: a full disk is a warning. */
  saveQuietly(): void {
    try {
      this.save(false);
    } catch (error) {
      this.#warn(error instanceof Error ? error.message : String(error));
    }
  }
}
