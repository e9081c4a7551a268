import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  writeSync,
} from "node:fs";
import { geteuid } from "node:process";
import { errnoOf, UserError } from "../../base/errors.js";

const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

/** Captures and logs are for the owner only. */
const MODE = 0o600;

/** A descriptor of the caller's, such as the pipe of the shell's `>(COMMAND)`. */
const DESCRIPTOR = /^\/(dev|proc\/self)\/fd\/\d+$/;

/**
 * Opens a file that an option names, for writing. In a directory that others may write to, such as /tmp, an attacker may
 * have put something in its place: a link, to have a file of the user's overwritten, or a file or FIFO of his own, to read
 * what is written. So it must be a regular file of the user's own with no other name, a character device, which only
 * root can make, or a descriptor of the caller's.
 * @param start the first bytes of the file, which is truncated and made readable by its owner alone; null: the file is
 *   appended to without blocking
 * @throws UserError when it is none of these, or cannot be written
 */
export function openOutputFile(option: string, path: string, start: Uint8Array | null): number {
  const isGiven = DESCRIPTOR.test(path);
  let fd: number | null = null;
  try {
    fd = openSync(path, isGiven ? givenFlags(start) : NAMED_FLAGS | givenFlags(start), MODE);
    const objection = isGiven ? null : objectionTo(fd);
    if (objection !== null) throw new UserError(`${option} ${path} is ${objection}`);
    if (start !== null) begin(fd, start);
    return fd;
  } catch (error) {
    if (fd !== null) closeSync(fd);
    if (error instanceof UserError) throw error;
    throw new UserError(`${option} ${path} ${reasonOf(error)}`);
  }
}

/** O_TRUNC is missing: the file is checked first. Without O_NONBLOCK opening a FIFO would wait for its reader. */
const NAMED_FLAGS = O_CREAT | O_NOFOLLOW | O_NONBLOCK;

function givenFlags(start: Uint8Array | null): number {
  return O_WRONLY | O_NOCTTY | (start === null ? O_APPEND | O_NONBLOCK : 0);
}

function objectionTo(fd: number): string | null {
  const status = fstatSync(fd);
  if (status.isCharacterDevice()) return null;
  if (!status.isFile()) return "not a regular file: choose another, or give a pipe as /dev/fd/N";
  if (status.uid !== geteuid?.()) return "another user's: choose a file of your own";
  if (status.nlink > 1) return "a file that has another name, too: choose another";
  return null;
}

function begin(fd: number, start: Uint8Array): void {
  if (fstatSync(fd).isFile()) {
    fchmodSync(fd, MODE);
    ftruncateSync(fd, 0);
  }
  writeSync(fd, start);
}

function reasonOf(error: unknown): string {
  const code = errnoOf(error);
  // ELOOP comes of O_NOFOLLOW, ENXIO of a FIFO without a reader.
  if (code === "ELOOP") return "is a symbolic link: give the file itself";
  if (code === "ENXIO") return "is not a regular file: choose another, or give a pipe as /dev/fd/N";
  return `cannot be written (${code}): give a file in a directory that is yours, on a disk with room`;
}
