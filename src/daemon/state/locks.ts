import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";
import type { DaemonPaths } from "../../rpc/daemon-paths.js";
import { ALREADY_RUNNING } from "../../rpc/messages.js";
import { Errno } from "../../sys/constants.js";
import { native } from "../../sys/native.js";

/** The state lock's text: PID, and the directory of the sockets. Another daemon wrote it, and a terminal may show it. */
const OWNER = /^(\d{1,10}) (\/[\x20-\x7e]{0,200})\n$/;

/**
 * Makes this process the daemon of its runtime directory and the owner of its state, until it ends: the locks'
 * descriptors stay open.
 * @throws UserError when another daemon has either
 */
export function takeLocks({ lock, stateLock, state, socket }: DaemonPaths): void {
  if (!isLocked(lock)) throw new UserError(ALREADY_RUNNING);
  note(lock, `${process.pid}\n`);
  if (isLocked(stateLock)) {
    note(stateLock, `${process.pid} ${path.dirname(socket)}\n`);
    return;
  }
  // A daemon with another runtime directory.
  const [, pid, directory] = OWNER.exec(readFileSync(stateLock, "latin1")) ?? [];
  const owner =
    pid === undefined ? "another daemon" : `process ${pid}, with its sockets in ${directory}`;
  throw new UserError(
    `the state in ${path.dirname(state)} belongs to ${owner}: set XDG_RUNTIME_DIR to the same directory, or XDG_STATE_HOME to another`,
  );
}

/** Writes who has a lock. On a full disk messages of others do without it. */
function note(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch {
    // The lock counts.
  }
}

/** @throws UserError */
function isLocked(file: string): boolean {
  const lock = native.lockFile(file);
  if (lock < 0 && lock !== -Errno.EAGAIN) {
    throw new UserError(
      `cannot lock ${file} (${getSystemErrorName(lock)}): check the permissions of its directory`,
    );
  }
  return lock >= 0;
}
