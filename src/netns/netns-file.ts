import { statSync, watch } from "node:fs";
import path from "node:path";
import { getSystemErrorName } from "node:util";
import { errnoOf, UserError } from "../base/errors.js";
import { native } from "../sys/native.js";

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
  const directory = native.openDirectory(path.dirname(file));
  if (directory < 0) throw unwatched(file, getSystemErrorName(directory));
  // The directory may be one that only the broker finds.
  const found = `/proc/self/fd/${directory}`;
  try {
    watch(found, (event, changed) => {
      if (event === "rename" && changed === name) onGone();
    });
    if (!isThere(`${found}/${name}`)) setImmediate(onGone);
  } catch (error) {
    throw unwatched(file, errnoOf(error));
  } finally {
    native.close(directory);
  }
}

function unwatched(file: string, error: string): UserError {
  return new UserError(
    `cannot watch the directory of ${file} (${error}): check the limits in sysctl fs.inotify`,
  );
}

/** False only if we know. */
function isThere(file: string): boolean {
  try {
    statSync(file);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ENOENT";
  }
}
