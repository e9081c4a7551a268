import { statSync, watch } from "node:fs";
import path from "node:path";
import { errnoOf, UserError } from "../base/errors.js";

/** The process of a path such as /proc/42/ns/net; null for any other. */
export function processOf(file: string): number | null {
  const [, pid] = /^\/proc\/(\d+)\/(?:task\/\d+\/)?ns\/net$/.exec(file) ?? [];
  return pid === undefined ? null : Number(pid);
}

/**
 * The process by whose directory in /proc a path leads, as to a file in the mount namespace of another; null for any
 * other path. It is gone with the process, and cannot be watched: our sandbox does not look into others' /proc/PID/root.
 */
export function processOnPath(file: string): number | null {
  const [, pid] = /^\/proc\/(\d+)\//.exec(file) ?? [];
  return pid === undefined ? null : Number(pid);
}

export function noSuchProcess(pid: number): UserError {
  return new UserError(`process ${pid} does not exist: give the PID of a running process`);
}

/**
 * Calls back once the file of a namespace is removed or replaced, as `ip netns delete` and podman do.
 * Our TAP keeps the namespace itself alive, so its own end cannot be observed. The watch is opened now and goes on in
 * the sandbox.
 * @throws UserError when the directory cannot be watched
 */
export function watchNamespaceFile(file: string, onGone: () => void): void {
  const name = path.basename(file);
  const before = identityOf(file);
  try {
    watch(path.dirname(file), (event, changed) => {
      if (event === "rename" && changed === name && identityOf(file) !== before) onGone();
    });
  } catch (error) {
    throw new UserError(
      `--exit-with-netns: cannot watch the directory of ${file} (${errnoOf(error)}): check the limits in sysctl fs.inotify`,
    );
  }
}

/** Device and inode; null when there is no such file, or we may not see it. */
function identityOf(file: string): string | null {
  try {
    const { dev, ino } = statSync(file);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}
