/** Sockets of one kind, by the numbers that tests use; the numbers are unique over all kinds. */
export class Handles<T> {
  static #last = 0;
  readonly #byId = new Map<number, T>();
  readonly #kind: string;

  constructor(kind: string) {
    this.#kind = kind;
  }

  add(value: T): number {
    Handles.#last += 1;
    this.#byId.set(Handles.#last, value);
    return Handles.#last;
  }

  get(id: number): T {
    const value = this.#byId.get(id);
    if (value === undefined) throw new RangeError(`no ${this.#kind} ${id}`);
    return value;
  }

  /** Forgets `id` and returns its socket, if it was of this kind. */
  take(id: number): T | undefined {
    const value = this.#byId.get(id);
    this.#byId.delete(id);
    return value;
  }
}
