import type { Member } from "./member.js";

/**
 * How long requests wait for runs that are to come back, in ms: a run looks for the next daemon every half second
 * (STOPPED_RETRY in src/cli/commands/membership.ts). One that is stopped comes later.
 */
const LONGEST_WAIT = 1_500;

/** Members that joined the daemon before, and whose clients join this one again soon. */
export class Returning {
  readonly #away: Set<string>;
  readonly #end: () => void;
  /** Resolves when all are back, or after LONGEST_WAIT. */
  readonly over: Promise<void>;

  /** @param members of which those are meant that are awaited */
  constructor(members: readonly Member[]) {
    const awaited = members.filter(({ awaitedIn }) => awaitedIn !== null);
    this.#away = new Set(awaited.map(({ id }) => id));
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LONGEST_WAIT);
    this.over = promise;
    this.#end = () => {
      clearTimeout(timer);
      resolve();
    };
    if (this.#away.size === 0) this.#end();
  }

  has(id: string | null): boolean {
    return id !== null && this.#away.has(id);
  }

  /** The member is served again, or its client has gone. */
  remove(id: string): void {
    if (this.#away.delete(id) && this.#away.size === 0) this.#end();
  }
}

/** Of a member that is awaited: what to tell who needs its namespace. */
export function notBack({ name }: Member): string {
  return `member ${name} is not back since the daemon was started: continue its slipway run if that is stopped, and try again`;
}
