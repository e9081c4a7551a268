import { writeSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import { UserError } from "./errors.js";

/** Standard descriptors. */
export const Stdio = { Input: 0, Output: 1, Error: 2 } as const;

/** Between two attempts to write to a pipe that is full and does not block, in ms. */
const RETRY = 5;

const SIGPIPE = 13;

/**
 * Writes all of a text to stdout, and waits for a slow reader: for commands that print and end, not for those that serve
 * a network. If nobody reads any more, it ends the process by SIGPIPE, as the kernel does with most programs.
 * native/launcher/common/output.c does the same.
 * @throws UserError when it cannot be written
 */
export function print(text: string): void {
  let rest: Uint8Array = Buffer.from(text);
  while (rest.length > 0) rest = rest.subarray(write(rest));
}

/** @returns how many bytes were taken */
function write(bytes: Uint8Array): number {
  try {
    return writeSync(Stdio.Output, bytes);
  } catch (error) {
    const { code, errno } = error as NodeJS.ErrnoException;
    if (code === "EPIPE" && !ignoresBrokenPipes()) endByBrokenPipe();
    if (code !== "EAGAIN") throw new UserError(`cannot write the output: ${wordsFor(errno)}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY);
    return 0;
  }
}

/** In the words of strerror(3), which begin with a capital. @param errno negative, as system calls return it */
export function wordsFor(errno = 0): string {
  const [, words = `error ${errno}`] = getSystemErrorMap().get(errno) ?? [];
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Whether the caller has set SIGPIPE to be ignored. Node resets it, so the launcher lists such signals. */
function ignoresBrokenPipes(): boolean {
  const { SLIPWAY_IGNORED: list = "" } = process.env;
  return list.split(",").includes(`${SIGPIPE}`);
}

function endByBrokenPipe(): never {
  // Node ignores the signal; when its last listener goes, it has its default again.
  process.on("SIGPIPE", () => undefined);
  process.removeAllListeners("SIGPIPE");
  process.kill(process.pid, "SIGPIPE");
  process.exit(128 + SIGPIPE);
}
