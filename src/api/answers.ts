/** The answer to a request, in parts. A part is made when the one before has been sent. */
export type Answer = Iterable<string>;

/** An error answer to a request, in slirp4netns's words, which clients know. */
export class BadRequest extends Error {
  /** The name of an errno with the cause, such as EADDRINUSE; slirp4netns does not send one. */
  readonly reason: string | null;

  constructor(message: string, reason: string | null = null) {
    super(message);
    this.reason = reason;
  }
}

/** An answer in one part, as slirp4netns sends it. */
export function wholeAnswer(result: object): Answer {
  return [JSON.stringify({ return: result })];
}

/** An error as slirp4netns words it. */
export function refusal(what: string, reason: string | null = null): string {
  const desc = `bad request: ${what}`;
  return JSON.stringify({ error: reason === null ? { desc } : { desc, reason } });
}

/** A JSON array in parts of `size` items, so that no part takes long to make. */
export function* arrayInParts(items: Iterable<object>, size: number): Generator<string> {
  let part = "[";
  let count = 0;
  for (const item of items) {
    if (count > 0 && count % size === 0) {
      yield part;
      part = "";
    }
    part += count === 0 ? JSON.stringify(item) : `,${JSON.stringify(item)}`;
    count += 1;
  }
  yield `${part}]`;
}
