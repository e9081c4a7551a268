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

/** Largest file that is read, in bytes: 1,024 lines of three 64-bit numbers. */
const MOST_BYTES = 72 * 1024;

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Namespaces that a supervisor vouches for: their cookies (SO_NETNS_COOKIE) by DEVICE:INODE. */
export type VouchedNamespaces = ReadonlyMap<string, bigint>;

/**
 * Reads and removes the list of the namespaces whose members were to stay when the last supervisor ended. The
 * supervisor writes it (native/launcher/supervisor/store.h) where no daemon can write after its lock-down.
 * @param writable the directories in which a daemon may write; a list in one of them vouches for nothing
 * @returns an empty map when there is no list, or when it is not the user's own file
 */
export function takeVouched(file: string, writable: readonly string[]): VouchedNamespaces {
  try {
    const text = readOwn(file);
    unlinkSync(file);
    if (isWithin(path.dirname(file), writable)) return new Map();
    const lines = text.matchAll(/^(\d+:\d+) (\d+)$/gm);
    return new Map(Array.from(lines, ([, id = "", cookie = ""]) => [id, BigInt(cookie)]));
  } catch {
    // There is none, or it cannot be read.
    return new Map();
  }
}

function readOwn(file: string): string {
  const fd = openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const status = fstatSync(fd);
    const isOwn = status.isFile() && status.uid === process.geteuid?.() && status.nlink === 1;
    if (!isOwn || (status.mode & 0o077) !== 0 || status.size > MOST_BYTES) return "";
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

function isWithin(directory: string, others: readonly string[]): boolean {
  const real = `${realpathSync(directory)}/`;
  return others.some((other) => real.startsWith(`${realpathSync(other)}/`));
}
