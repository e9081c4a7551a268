import { realpathSync } from "node:fs";
import path from "node:path";

/** Where programs of the system keep what /etc/resolv.conf leads to; any of them may be started later. */
const KNOWN: readonly string[] = [
  "/run/systemd/resolve",
  "/run/resolvconf",
  "/run/NetworkManager",
  "/run/connman",
];

/** A program's own directory below /run; those of users are none. */
const PROGRAMS = /^\/run\/(?!user(\/|$))[^/]+(\/|$)/;

/**
 * What has to be readable for resolv.conf to be followed: the directory that has it, those of the programs that
 * keep it, and where it leads now. Of a place that is neither a program's below /run nor beside it that is the file
 * as it is.
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
