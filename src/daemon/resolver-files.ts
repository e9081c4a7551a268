import { realpathSync } from "node:fs";
import path from "node:path";

/** Directories to which programs of the system make /etc/resolv.conf a link; each may be started later. */
const KNOWN: readonly string[] = [
  "/run/systemd/resolve",
  "/run/resolvconf",
  "/run/NetworkManager",
  "/run/connman",
];

/** A program's own directory below /run, which those of users (/run/user) are not. */
const PROGRAMS = /^\/run\/(?!user(\/|$))[^/]+(\/|$)/;

/**
 * What must be readable for resolv.conf to be followed: its directory, those of the programs that keep it, and its
 * target: the target's directory if it is a program's below /run, otherwise only the file.
 */
export function resolverFiles(file: string): readonly string[] {
  return [path.dirname(file), ...KNOWN, ...targetOf(file)];
}

function targetOf(file: string): readonly string[] {
  try {
    const target = realpathSync(file);
    const directory = path.dirname(target);
    return [PROGRAMS.test(directory) ? directory : target];
  } catch {
    // There is none yet.
    return [];
  }
}
