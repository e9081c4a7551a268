import { closeSync, constants, fstatSync, openSync } from "node:fs";
import path from "node:path";

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/**
 * Opens a directory below another one and follows no links, as openat2(2) does with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS, which Node does not offer. Each component is opened relative to the descriptor of the one
 * before: an attacker may own the directories, and change them meanwhile.
 * @param base a trusted path
 * @param relative to `base`; "" is `base` itself
 * @returns a descriptor, the caller's to close
 * @throws Error with the code of open(2)
 */
export function openDirectoryBeneath(base: string, relative: string): number {
  let directory = openSync(base, O_RDONLY | O_DIRECTORY);
  for (const name of relative.split("/").filter((each) => each !== "")) {
    const parent = directory;
    try {
      directory = openSync(inside(parent, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    } finally {
      closeSync(parent);
    }
  }
  return directory;
}

/** The path of a name in an open directory, without resolving the directory's own path again. */
export function inside(directory: number, name: string): string {
  if (name === ".." || name.includes("/")) throw new Error(`${name} is not a name in a directory`);
  return `/proc/self/fd/${directory}/${name}`;
}

/**
 * Opens a regular file with a single link, below a directory.
 * @param flags of open(2); O_NOFOLLOW and O_NONBLOCK are added
 * @returns a descriptor, the caller's to close; null when there is no such file
 */
export function openOwnFile(base: string, relative: string, flags: number): number | null {
  let directory: number | null = null;
  try {
    directory = openDirectoryBeneath(base, path.dirname(relative));
    const name = inside(directory, path.basename(relative));
    // O_NONBLOCK: opening a FIFO would wait for a writer.
    const file = openSync(name, flags | O_NOFOLLOW | O_NONBLOCK);
    const status = fstatSync(file);
    if (status.isFile() && status.nlink === 1) return file;
    closeSync(file);
    return null;
  } catch {
    return null;
  } finally {
    if (directory !== null) closeSync(directory);
  }
}
