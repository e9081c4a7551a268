import { UserError } from "../../base/errors.js";
import type { PestoRequest } from "../../commandline/pasta/pesto.js";

/**
 * `pesto`, where its launcher could not ask: the command line is right, so that nobody answers at the path.
 * @throws UserError always
 */
export function pesto({ socket }: PestoRequest): never {
  throw new UserError(`Couldn't connect to ${socket}: is pasta -c ${socket} running?`, 1);
}
