import { lstatSync, unlinkSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";
import { LONGEST_SOCKET_PATH } from "../../config/constants.js";
import { Errno } from "../constants.js";
import { native } from "../native.js";
import { BACKLOG, connectLocal, listenLocal } from "./local-socket.js";

/** Leaves mode 0600: a client of our sockets can open ports as this user, or is his network. */
const UMASK = 0o177;

/**
 * Listens at a path that only this user may connect to. Replaces the socket of a process that was killed.
 * @param what names the socket in messages
 * @param type Socket.Stream or Socket.SequencedPackets
 * @returns the listening socket
 * @throws UserError when the path is in use, or the socket cannot be made
 */
export function listenPrivately(
  what: string,
  path: string,
  type: number,
  backlog: number = BACKLOG,
): number {
  if (isListenedAt(path)) {
    throw new UserError(`${what} ${path} is in use by another process: choose another path`);
  }
  const listener = replaceStale(path, type, backlog);
  if (listener >= 0) return listener;
  throw new UserError(`${what} ${path}: ${sentenceOf(-listener)}`);
}

/**
 * As listenPrivately(), at the first of several paths that can be had.
 * @returns null: none can
 */
export function listenAtFirstFree(
  paths: readonly string[],
  type: number,
  backlog: number,
): { readonly path: string; readonly listener: number } | null {
  for (const path of paths) {
    if (isListenedAt(path)) continue;
    const listener = replaceStale(path, type, backlog);
    if (listener >= 0) return { path, listener };
  }
  return null;
}

/** A process that was killed leaves its socket, on which nobody listens. */
function replaceStale(path: string, type: number, backlog: number): number {
  if (isSocket(path)) removeQuietly(path);
  return listenMasked(path, type, backlog);
}

/** bind(2) creates the file with the mode that the umask leaves. */
function listenMasked(path: string, type: number, backlog: number): number {
  const before = process.umask(UMASK);
  try {
    return listenLocal(path, type, backlog);
  } finally {
    process.umask(before);
  }
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
  } catch {
    // ENOTDIR, EACCES: listening fails with the same error, which is reported.
    return false;
  }
}

/** Whether somebody listens at a path. */
export function isListenedAt(path: string): boolean {
  return isSocket(path) && accepts(path);
}

/** EAGAIN: its backlog is full, so somebody listens. EACCES: another user's, taken as live. */
function accepts(path: string): boolean {
  const probe = connectLocal(path);
  if (probe < 0) return probe !== -Errno.ECONNREFUSED;
  native.close(probe);
  return true;
}

/** Removes a file; ignores errors. */
export function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is gone, or not ours to remove.
  }
}

function sentenceOf(errno: number): string {
  switch (errno) {
    case Errno.EADDRINUSE:
      return "the path exists and is not a socket: choose another";
    case Errno.ENOENT:
    case Errno.ENOTDIR:
      return "its directory does not exist: create it";
    case Errno.EACCES:
    case Errno.EPERM:
    case Errno.EROFS:
      return "not permitted to create it there: choose another directory";
    case Errno.ENAMETOOLONG:
      return `the path is too long for a socket: ${LONGEST_SOCKET_PATH} bytes at most`;
    default:
      return `cannot listen (${getSystemErrorName(-errno)}): choose another path`;
  }
}
