import * as v from "valibot";
import { HIGHEST_PORT } from "../base/port-set.js";
import { BadRequest } from "./answers.js";

export const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(HIGHEST_PORT));

/** A schema for 1..most. */
export function wholeNumber(most: number) {
  return v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(most));
}

/**
 * The arguments of a request, checked in the order of the schema's entries.
 * @throws BadRequest that names the first invalid argument, as in slirp4netns
 */
export function checked<Schema extends v.GenericSchema & { readonly entries: object }>(
  command: string,
  schema: Schema,
  raw: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, raw, { abortEarly: true });
  if (result.success) return result.output;
  const name = v.getDotPath(result.issues[0]) ?? Object.keys(schema.entries)[0];
  throw new BadRequest(`${command}: bad arguments.${name}`);
}
