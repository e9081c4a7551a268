import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";
import type { DaemonPaths } from "../../rpc/daemon-paths.js";
import { ALREADY_RUNNING } from "../../rpc/messages.js";
import { Errno } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { connectLocal } from "../../sys/sockets/local-socket.js";

/** The state lock's text: PID, and the directory of the sockets. Another daemon wrote it, and a terminal may show it. */
const OWNER = /^(\d{1,10}) (\/[\x20-\x7e]{0,200})\n$/;

/** How long to wait for the end of another supervisor, whose TAPs the kernel removes, and between two looks, in ms. */
const SUPERVISOR_LIMIT = 10_000;
const SUPERVISOR_LOOK = 20;

/**
 * Waits until the supervisor of the daemon before has ended, as it does after `daemon stop`. After a crash it has not: it
 * starts a daemon and has the TAPs for it, which another daemon would not get.
 * @throws UserError when it goes on
 */
export async function awaitSupervisor({ stayed, socket }: DaemonPaths): Promise<void> {
  for (let waited = 0; hasSupervisor(stayed); waited += SUPERVISOR_LOOK) {
    if (waited >= SUPERVISOR_LIMIT || isServed(socket)) throw new UserError(ALREADY_RUNNING);
    await delay(SUPERVISOR_LOOK);
  }
}

/** Whether the supervisor that wrote the list lives: native/launcher/supervisor/store.h. */
function hasSupervisor(stayed: string): boolean {
  if (!existsSync(stayed)) return false;
  const lock = native.lockFile(stayed);
  if (lock >= 0) native.close(lock);
  return lock === -Errno.EAGAIN;
}

function isServed(socket: string): boolean {
  const fd = connectLocal(socket);
  if (fd >= 0) native.close(fd);
  return fd >= 0;
}

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
