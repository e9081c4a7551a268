import { lstatSync, mkdirSync } from "node:fs";
import path from "node:path";
import { unsafePart } from "./safe-directory.js";
import { apiDirectory } from "./xdg.js";

const OWNER_ONLY = 0o700;

/** @param pid of the process that serves the network */
export function socketPathOf(directory: string, pid: number | string): string {
  return path.join(directory, `${pid}.sock`);
}

/** This process's own socket, its directory made; null when there can be none. */
export function ownSocketPath(): string | null {
  const directory = apiDirectory();
  if (directory === null) return null;
  try {
    mkdirSync(directory, { mode: OWNER_ONLY });
  } catch {
    // It exists, or isOurs() finds out.
  }
  return isOurs(directory) ? socketPathOf(directory, process.pid) : null;
}

/** Whether nobody else may replace the directory or what is in it. */
function isOurs(directory: string): boolean {
  const status = lstatSync(directory, { throwIfNoEntry: false });
  if (status === undefined || !status.isDirectory()) return false;
  const isClosed = status.uid === process.geteuid?.() && (status.mode & 0o022) === 0;
  return isClosed && unsafePart(directory, null) === null;
}
