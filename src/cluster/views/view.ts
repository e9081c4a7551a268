import type { Entry } from "../../store/store.js";
import { Nonsense } from "../encoding/values.js";
import type { Complaints } from "./complaints.js";

/** What a view makes of the entries below a prefix. */
export interface ViewRules<T> {
  readonly decode: (key: string, value: string) => T | Nonsense;
  /** What can belong to one record only, such as an address: texts for messages, too. */
  readonly stakes: (record: T) => readonly string[];
  /** What two records share that no stake can say, such as a part of a subnet; null: nothing. */
  readonly clash?: (a: T, b: T) => string | null;
}

export interface ViewEvents<T> {
  /** A record that is new, or has changed. */
  readonly onShown: (record: T) => void;
  readonly onHidden: (record: T) => void;
}

interface Item<T> {
  readonly key: string;
  readonly created: number;
  readonly modified: number;
  readonly record: T;
  readonly stakes: readonly string[];
  isShown: boolean;
}

/**
 * The records below a prefix that make sense together. Two records that say they have one thing cannot both be right: the
 * one that was there first is shown, on every host the same, and the other as soon as that is gone. What is hidden keeps nobody out.
 */
export class View<T> {
  readonly #rules: ViewRules<T>;
  readonly #events: ViewEvents<T>;
  readonly #complaints: Complaints;
  readonly #items = new Map<string, Item<T>>();
  /** Who says it has a stake; most often one item, which is then alone here. */
  readonly #holders = new Map<string, Item<T> | readonly Item<T>[]>();

  constructor(rules: ViewRules<T>, complaints: Complaints, events: ViewEvents<T>) {
    this.#rules = rules;
    this.#complaints = complaints;
    this.#events = events;
  }

  /** A record that is shown. */
  get(key: string): T | undefined {
    const item = this.#items.get(key);
    return item?.isShown ? item.record : undefined;
  }

  /** The revision at which a record that is shown was last changed. */
  modified(key: string): number | undefined {
    const item = this.#items.get(key);
    return item?.isShown ? item.modified : undefined;
  }

  /** The records that are shown. */
  *records(): Generator<T> {
    for (const { isShown, record } of this.#items.values()) if (isShown) yield record;
  }

  /** Whether a record that is shown has it. */
  hasStake(stake: string): boolean {
    return holdersIn(this.#holders.get(stake)).length > 0;
  }

  put({ key, value, created, modified }: Entry): void {
    const record = this.#rules.decode(key, value);
    if (record instanceof Nonsense) {
      this.#complaints.add(key, record.why);
      this.delete(key);
      return;
    }
    const before = this.#items.get(key);
    const stakes = this.#rules.stakes(record);
    const item = { key, created, modified, record, stakes, isShown: before?.isShown ?? false };
    const rivals = this.#rivalsOf(before);
    if (before !== undefined) this.#drop(before);
    this.#items.set(key, item);
    for (const stake of stakes) this.#hold(stake, item);
    this.#judge(new Set([item, ...rivals, ...this.#rivalsOf(item)]), before);
  }

  /** Hides all. */
  clear(): void {
    const shown = [...this.records()];
    this.#items.clear();
    this.#holders.clear();
    for (const record of shown) this.#events.onHidden(record);
  }

  delete(key: string): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    const rivals = this.#rivalsOf(item);
    this.#items.delete(key);
    this.#drop(item);
    if (item.isShown) this.#events.onHidden(item.record);
    this.#judge(new Set(rivals));
  }

  #hold(stake: string, item: Item<T>): void {
    const others = holdersIn(this.#holders.get(stake));
    this.#holders.set(stake, others.length === 0 ? item : [...others, item]);
  }

  #drop(item: Item<T>): void {
    for (const stake of item.stakes) {
      const left = holdersIn(this.#holders.get(stake)).filter((each) => each !== item);
      if (left.length === 0) this.#holders.delete(stake);
      else this.#holders.set(stake, left.length === 1 ? left[0] : left);
    }
  }

  /** Those that an item cannot be shown together with. */
  #rivalsOf(item: Item<T> | undefined): readonly Item<T>[] {
    if (item === undefined) return [];
    const holders = item.stakes.flatMap((stake) => holdersIn(this.#holders.get(stake)));
    const { clash } = this.#rules;
    const clashing =
      clash === undefined
        ? []
        : [...this.#items.values()].filter((each) => clash(item.record, each.record) !== null);
    return [...holders, ...clashing].filter(({ key }) => key !== item.key);
  }

  /**
   * Shows and hides, by age: whether an item is shown hangs on older ones alone. Those that are to be hidden are reported
   * first: nobody sees two records with one stake.
   * @param before what one of the items replaces
   */
  #judge(items: ReadonlySet<Item<T>>, before?: Item<T>): void {
    const pending = new Set(items);
    const changed = new Set<Item<T>>();
    for (let item = oldest(pending); item !== undefined; item = oldest(pending)) {
      pending.delete(item);
      if (this.#items.get(item.key) !== item) continue;
      const rivals = this.#rivalsOf(item);
      const winner = rivals.find((rival) => rival.isShown && isBefore(rival, item));
      if (winner !== undefined) this.#complain(item, winner);
      if (item.isShown === (winner === undefined)) continue;
      item.isShown = winner === undefined;
      changed.add(item);
      for (const rival of rivals) if (isBefore(item, rival)) pending.add(rival);
    }
    this.#report(changed, before);
  }

  #report(changed: ReadonlySet<Item<T>>, before?: Item<T>): void {
    for (const item of changed) {
      if (item.isShown) continue;
      this.#events.onHidden(before?.key === item.key ? before.record : item.record);
    }
    const after = before === undefined ? undefined : this.#items.get(before.key);
    if (after?.isShown && !changed.has(after)) this.#events.onShown(after.record);
    for (const item of changed) if (item.isShown) this.#events.onShown(item.record);
  }

  #complain(item: Item<T>, winner: Item<T>): void {
    const what = this.#common(item, winner);
    this.#complaints.add(item.key, `${winner.key} has ${what}, and had it before`);
  }

  #common(item: Item<T>, rival: Item<T>): string {
    const stake = item.stakes.find((each) => rival.stakes.includes(each));
    return stake ?? this.#rules.clash?.(item.record, rival.record) ?? "the same";
  }
}

function holdersIn<T>(holders: Item<T> | readonly Item<T>[] | undefined): readonly Item<T>[] {
  if (holders === undefined) return [];
  return isList(holders) ? holders : [holders];
}

function isList<T>(holders: Item<T> | readonly Item<T>[]): holders is readonly Item<T>[] {
  return Array.isArray(holders);
}

function oldest<T>(items: ReadonlySet<Item<T>>): Item<T> | undefined {
  let found: Item<T> | undefined;
  for (const item of items) if (found === undefined || isBefore(item, found)) found = item;
  return found;
}

function isBefore<T>(a: Item<T>, b: Item<T>): boolean {
  return a.created === b.created ? a.key < b.key : a.created < b.created;
}
