import { lstatSync, mkdirSync } from "node:fs";
import path from "node:path";
import { unsafePart } from "./safe-directory.js";
import { apiDirectory } from "./xdg.js";

const OWNER_ONLY = 0o700;

/** The path of a network's API socket. @param called the process that serves it, or the name that it was given */
export function socketPathOf(directory: string, called: number | string): string {
  return path.join(directory, `${called}.sock`.toLowerCase());
}

/** The path of this process's API socket, whose directory it makes; null when there is no safe directory. */
export function ownSocketPath(called: number | string = process.pid): string | null {
  const directory = apiDirectory();
  if (directory === null) return null;
  try {
    mkdirSync(directory, { mode: OWNER_ONLY });
  } catch {
    // It exists; otherwise isOurs() returns false.
  }
  return isOurs(directory) ? socketPathOf(directory, called) : null;
}

/** Whether no other user can replace the directory or a file in it. */
function isOurs(directory: string): boolean {
  try {
    const status = lstatSync(directory);
    if (!status.isDirectory()) return false;
    const isClosed = status.uid === process.geteuid?.() && (status.mode & 0o022) === 0;
    return isClosed && unsafePart(directory, null) === null;
  } catch {
    // There is none, or it is in another user's: su(1) keeps XDG_RUNTIME_DIR.
    return false;
  }
}
