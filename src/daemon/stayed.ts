import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  unlinkSync,
} from "node:fs";
import path from "node:path";

/** Of the file: 1,024 lines of three 64-bit numbers. */
const LONGEST = 72 * 1024;

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** A namespace's cookie (SO_NETNS_COOKIE) by its device and inode. */
export type Stayed = ReadonlyMap<string, bigint>;

/**
 * The namespaces in which members stood that stayed, when the last supervisor ended: it has written them
 * (native/launcher/store.h) where no daemon can after its lock-down. Read once: the file goes.
 * @param writable the directories in which a daemon may write; a file there vouches for nothing
 */
export function takeStayed(file: string, writable: readonly string[]): Stayed {
  try {
    const text = readOwn(file);
    unlinkSync(file);
    if (isWithin(path.dirname(file), writable)) return new Map();
    const lines = text.matchAll(/^(\d+:\d+) (\d+)$/gm);
    return new Map(Array.from(lines, ([, id = "", cookie = ""]) => [id, BigInt(cookie)]));
  } catch {
    // There is none, or it is not ours.
    return new Map();
  }
}

function readOwn(file: string): string {
  const fd = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const status = fstatSync(fd);
    const isOwn = status.isFile() && status.uid === process.geteuid?.() && status.nlink === 1;
    if (!isOwn || (status.mode & 0o077) !== 0 || status.size > LONGEST) return "";
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

function isWithin(directory: string, others: readonly string[]): boolean {
  const real = `${realpathSync(directory)}/`;
  return others.some((other) => real.startsWith(`${realpathSync(other)}/`));
}
