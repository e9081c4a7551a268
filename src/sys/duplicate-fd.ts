import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import { native } from "./native.js";

/**
 * A second descriptor of the same file.
 * @param fd stays the caller's
 * @throws UserError when the process has no descriptor left
 */
export function duplicateFd(fd: number): number {
  const copy = native.copyFd(fd);
  if (copy >= 0) return copy;
  throw new UserError(
    `no file descriptor is left (${getSystemErrorName(copy)}): raise the limit, ulimit -n`,
  );
}
