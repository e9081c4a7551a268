import { UserError } from "../../base/errors.js";
import type { PestoRequest } from "../../commandline/pasta/pesto.js";

/**
 * `pesto`, where its launcher could not ask at the last word: the command line is right, so that the path stands elsewhere, or
 * nobody answers there.
 * @throws UserError always
 */
export function pesto({ socket }: PestoRequest): never {
  if (process.argv.at(-1) !== socket) {
    throw new UserError(`the path comes last: pesto [options] ${socket}`, 1);
  }
  throw new UserError(`Couldn't connect to ${socket}: is pasta -c ${socket} running?`, 1);
}
