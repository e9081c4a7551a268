import * as v from "valibot";
import { UserError } from "../../base/errors.js";

/** How every error begins that the API reports of a request it has read. */
const BAD_REQUEST = "bad request: ";

/** An error that the API reports of a request. */
export class ApiError extends Error {
  /** Name of an errno, such as EADDRINUSE; null: the answer has none. */
  readonly reason: string | null;

  constructor(message: string, reason: string | null) {
    super(message);
    this.reason = reason;
  }
}

/** Where requests about one guest are sent: an API socket, or a member's attachment. */
export interface Place {
  /** For messages. */
  readonly label: string;
  /** What `status` shows of it, beside the answer. */
  readonly identity: PlaceIdentity;
  /** @returns the answer @throws UserError when there is none */
  ask(request: string): Promise<string>;
}

export interface PlaceIdentity {
  /** Path of the API socket; null: there is none, as the daemon serves it. */
  readonly socket: string | null;
  /** Name of the guest, if it has one. */
  readonly name?: string;
  /** Name of the network on which it is a member. */
  readonly member_of?: string;
}

const errorAnswer = v.object({
  error: v.object({ desc: v.string(), reason: v.optional(v.string()) }),
});

/**
 * Sends a request.
 * @param execute its name
 * @param schema that the answer's `return` must have
 * @returns the answer's `return`
 * @throws ApiError when the answer is an error
 * @throws UserError when nobody answers, or refuses this client, or does not speak Slipway's API
 */
export async function request<Schema extends v.GenericSchema>(
  place: Place,
  execute: string,
  parameters: object,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  const text = await place.ask(JSON.stringify({ execute, arguments: parameters }));
  const answer = parse(place, text);
  const failure = v.safeParse(errorAnswer, answer);
  if (failure.success) {
    const { desc, reason = null } = failure.output.error;
    // Any other error refuses the client, whatever it asks.
    if (!desc.startsWith(BAD_REQUEST)) throw new UserError(desc);
    throw new ApiError(desc, reason);
  }
  const result = v.safeParse(v.object({ return: schema }), answer);
  if (result.success) return result.output.return;
  throw new UserError(
    `${place.label} does not answer ${execute} as Slipway does: does it belong to another program?`,
  );
}

function parse({ label }: Place, answer: string): unknown {
  try {
    return JSON.parse(answer);
  } catch {
    throw new UserError(`${label} does not answer in JSON: does it belong to another program?`);
  }
}
