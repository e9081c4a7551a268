import { lstatSync, mkdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import path from "node:path";
import { errnoOf } from "../base/errors.js";

/** MAXSYMLINKS of linux/namei.h. */
const MOST_LINKS = 40;

/** How owners look that have no number in our user namespace: overflowuid of proc(5). */
const UNMAPPED = 65_534;

const STICKY = 0o1000;
const BY_GROUP = 0o020;
const BY_ALL = 0o002;

/**
 * Walks to a directory from / on: whether only this user and root can change what is found by its path. Each
 * component belongs to one of them, links too, and only they can write in it, unless it is sticky: then they own
 * what is below it. native/launcher/common/safe-directory.c does the same.
 * @param mode with which what is missing is made; null: it may be missing
 * @returns the first component that others could change, or null
 * @throws Error with the code of lstat(2), readlink(2) or mkdir(2)
 */
export function unsafePart(directory: string, mode: number | null): string | null {
  const rest = partsOf(path.resolve(directory));
  let links = 0;
  let at = "/";
  if (!isSafe(lstatSync(at))) return at;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    // As there is no link in `at`, ".." is what it is to the kernel.
    const next = path.join(at, name);
    const status = statusOf(next, mode);
    if (status === undefined) return null;
    // What is written in a directory does not change what is above it.
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

/** Of a place whose directory is safe, so that nobody else makes it meanwhile, or what he makes is seen. */
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
  // The mode of a link says nothing, and what is no directory leads nowhere.
  if (!status.isDirectory() || (status.mode & STICKY) !== 0) return true;
  if ((status.mode & BY_ALL) !== 0) return false;
  return (status.mode & BY_GROUP) === 0 || isPrivateGroup(status.gid);
}

/** In a user namespace the host's root, who owns / there, has no number. */
function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.() || (uid === UNMAPPED && !isInitialNamespace());
}

/** Root's, or the user's own where each has a group of his number. */
function isPrivateGroup(gid: number): boolean {
  return gid === 0 || (gid === process.getegid?.() && gid === process.geteuid?.());
}

function isInitialNamespace(): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
}
