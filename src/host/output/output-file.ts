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

/** What is written is nobody else's business. */
const MODE = 0o600;

/** What the caller has opened, such as the pipe of the shell's `>(COMMAND)`. */
const DESCRIPTOR = /^\/(dev|proc\/self)\/fd\/\d+$/;

/**
 * Opens a file that an option names, for writing. In a folder that others may write to, as /tmp, somebody may
 * have made it before: a link to a file of the user's would have that overwritten, and a file or FIFO of
 * somebody else's would tell him all. So it is a regular file of the user's own, with no other name, or a
 * device, which root alone can make, or what the caller has opened.
 * @param start what the file begins with, which is made anew and readable by its owner alone; null: it is
 * appended to, and never waited for
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

/** Not truncated by open(2): it is looked at before. Without O_NONBLOCK a FIFO would wait for its reader. */
const NAMED_FLAGS = O_CREAT | O_NOFOLLOW | O_NONBLOCK;

function givenFlags(start: Uint8Array | null): number {
  return O_WRONLY | O_NOCTTY | (start === null ? O_APPEND | O_NONBLOCK : 0);
}

function objectionTo(fd: number): string | null {
  const status = fstatSync(fd);
  if (status.isCharacterDevice()) return null;
  if (!status.isFile()) return "no regular file: choose another, or give a pipe as /dev/fd/N";
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
  // O_NOFOLLOW says so; a FIFO without a reader says ENXIO.
  if (code === "ELOOP") return "is a symbolic link: give the file itself";
  if (code === "ENXIO") return "is no regular file: choose another, or give a pipe as /dev/fd/N";
  return `cannot be written (${code}): give a file in a directory that is yours, on a disk with room`;
}
