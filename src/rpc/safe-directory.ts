import { lstatSync, mkdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import path from "node:path";
import { errnoOf } from "../base/errors.js";

/** MAXSYMLINKS of linux/namei.h. */
const MOST_LINKS = 40;

/** The owner of files whose user is not mapped in our user namespace: overflowuid of proc(5). */
const UNMAPPED = 65_534;

const STICKY = 0o1000;
const BY_GROUP = 0o020;
const BY_ALL = 0o002;

/**
 * Walks the path of a directory from /, and checks that only this user and root can change what it leads to. Each
 * component, including links, must belong to one of them. Only they may have write permission, unless the component is
 * sticky: then only owners can replace what is below it. native/launcher/common/safe-directory.c does the same.
 * @param mode of missing directories, which are created; null: they may be missing
 * @returns the first component that others could change, or null
 * @throws Error with the code of lstat(2), readlink(2) or mkdir(2)
 */
export function unsafePart(directory: string, mode: number | null): string | null {
  const rest = partsOf(path.resolve(directory));
  let links = 0;
  let at = "/";
  if (!isSafe(lstatSync(at))) return at;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    // `at` contains no link, so ".." means the same as to the kernel.
    const next = path.join(at, name);
    const status = statusOf(next, mode);
    if (status === undefined) return null;
    // Write permission for a directory that ".." leaves again is no risk: it does not change the parent.
    const isLeft = rest[0] === ".." && status.isDirectory();
    if (!isLeft && !isSafe(status)) return next;
    if (!status.isSymbolicLink()) {
      at = next;
      continue;
    }
    links += 1;
    if (links > MOST_LINKS) return next;
    const target = readlinkSync(next);
    rest.unshift(...partsOf(target));
    if (path.isAbsolute(target)) at = "/";
  }
  return null;
}

function partsOf(file: string): string[] {
  return file.split("/").filter((name) => name !== "");
}

/**
 * The parent is safe: no other user can create the file meanwhile, except in a sticky directory, where lstat shows it.
 */
function statusOf(place: string, mode: number | null): Stats | undefined {
  const status = lstatSync(place, { throwIfNoEntry: false });
  if (status !== undefined || mode === null) return status;
  try {
    mkdirSync(place, { mode });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  return lstatSync(place);
}

function isSafe(status: Stats): boolean {
  if (!isTrusted(status.uid)) return false;
  // The mode of a link has no meaning, and a file that is no directory ends the path.
  if (!status.isDirectory() || (status.mode & STICKY) !== 0) return true;
  if ((status.mode & BY_ALL) !== 0) return false;
  return (status.mode & BY_GROUP) === 0 || isPrivateGroup(status.gid);
}

/** In a user namespace the host's root, who owns /, is usually not mapped. */
function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.() || (uid === UNMAPPED && !isInitialNamespace());
}

/** Root's group, or the user's private group, which has the same number as the user. */
function isPrivateGroup(gid: number): boolean {
  return gid === 0 || (gid === process.getegid?.() && gid === process.geteuid?.());
}

/** Whether this process is in the user namespace of the machine. */
export function isInitialNamespace(): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
}
