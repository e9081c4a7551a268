import { UserError } from "../../base/errors.js";

/** A template that does not fit the data. It always ends with the way that works for everything. */
export function refused(why: string): UserError {
  return new UserError(`--format: ${why}: --json shows all`);
}
