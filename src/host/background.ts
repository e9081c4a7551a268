import { ftruncateSync } from "node:fs";
import { UserError } from "../base/errors.js";
import { wordsFor } from "../base/stdio.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";

/** Whether this process goes on in the background: the launcher has forked it, and the caller's process waits for it. */
export function isInBackground(): boolean {
  const { SLIPWAY_PARENT: parent } = process.env;
  return parent !== undefined;
}

let isFree = false;

/** Whether this process has let the caller's outputs go. */
export function isDetached(): boolean {
  return isFree;
}

/** The file that is to hold the number of this process. */
export class PidFile {
  readonly #fd: number | null;

  /** Call it after joinBroker(), which has it opened. @param path null: there is none. @throws UserError */
  constructor(path: string | null) {
    this.#fd = path === null ? null : opened(path);
  }

  /**
   * Empties the file for a process in the foreground, as the sandbox does not let it: what it had was another process's
   * number as long as the network could fail to come up.
   */
  prepare(): void {
    if (this.#fd !== null && !isInBackground()) ftruncateSync(this.#fd);
  }

  /**
   * Says that the network is up: has the number written, which for a process in the background its waiting parent does, as
   * a PID namespace of our own hides it from us; then lets the caller's outputs go, and the parent ends. Call it in the
   * sandbox, as the last thing of the start.
   * @throws UserError when the number cannot be written, or nobody waits any more
   */
  announce(): void {
    const { SLIPWAY_PARENT: parent } = process.env;
    if (parent === undefined) this.#write();
    else this.#tell(Number(parent));
    if (this.#fd !== null) native.close(this.#fd);
  }

  #write(): void {
    if (this.#fd === null) return;
    const result = native.writeBytes(this.#fd, Buffer.from(`${process.pid}\n`));
    if (result < 0) throw new UserError(`Couldn't write PID file: ${wordsFor(result)}`);
  }

  #tell(parent: number): void {
    native.adoptFd(parent);
    native.releaseOutput();
    isFree = true;
    const sent = native.sendPassing(parent, Buffer.alloc(1), this.#fd);
    if (sent < 0) throw new UserError("the process that waited for the network has ended");
    native.close(parent);
  }
}

function opened(path: string): number {
  const fd = native.openPidFile(path);
  if (fd >= 0) return fd;
  const flaw = fd === -Errno.ELOOP ? "it is a symbolic link: " : "";
  throw new UserError(
    `Couldn't open PID file ${path}: ${wordsFor(fd)}: ${flaw}give a file of your own, in a folder where others cannot replace it`,
  );
}
