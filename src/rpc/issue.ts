import * as v from "valibot";

type Issue = v.BaseIssue<unknown>;

/** How valibot begins its own messages, which are for programmers. */
const OF_LIBRARY = "Invalid ";

/**
 * What is wrong with a message, for the user: the field, and what is allowed there.
 * @param whole name of the message, where it is wrong as a whole
 */
export function sentenceOf(issue: Issue, whole: string): string {
  const field = v.getDotPath(issue)?.replaceAll(/\.(\d+)(?=\.|$)/g, "[$1]") ?? whole;
  return `${field} ${demandOf(issue)}`;
}

function demandOf(issue: Issue): string {
  const { type, received, message } = issue;
  if (!message.startsWith(OF_LIBRARY)) return message;
  if (received === "undefined") return "is missing";
  switch (type) {
    case "string":
      return "must be text";
    case "boolean":
      return "must be true or false";
    case "number":
    case "integer":
      return "must be a whole number";
    case "array":
      return "must be a list";
    case "object":
    case "record":
      return "must be an object";
    case "max_length":
      return `must have at most ${lengthOf(issue)}`;
    case "non_empty":
      return "must not be empty";
    case "min_length":
      return `must have at least ${lengthOf(issue)}`;
    default:
      return "has a value that is not allowed";
  }
}

function lengthOf({ input, requirement }: Issue & { readonly requirement?: unknown }): string {
  if (typeof input === "string") return `${requirement} characters`;
  return requirement === 1 ? "one entry" : `${requirement} entries`;
}

/** A whole number in a range, which the message names. */
export function wholeNumber(least: number, most: number) {
  const demand = `must be a whole number from ${least} to ${most}`;
  return v.pipe(
    v.number(demand),
    v.integer(demand),
    v.minValue(least, demand),
    v.maxValue(most, demand),
  );
}
