import { accessSync, constants, realpathSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { getuid } from "node:process";
import type { Census } from "./census.ts";
import { type HeldNamespace, Namespace } from "./namespace.ts";
import { node, root } from "./product.ts";

/**
 * The base of host and world: a mount namespace with a file system in memory for all files of the
 * lab, so that none is left behind whatever happens, and with the product at a path that every
 * user can reach. If a normal user makes it, a user namespace below it gives the rights to do this.
 */
export interface Stage {
  /** root of the lab; its network namespace becomes the world */
  readonly namespace: HeldNamespace;
  /** true if its maker can give Slipway a uid of its own: root, including root over subordinate ids */
  readonly privileged: boolean;
  /** writable by all, empty, visible only to the lab's processes */
  readonly directory: string;
  /** the path of a file of the checkout for the lab's processes; other paths are unchanged */
  inside(path: string): string;
  /** the path of a file of {@link Stage.directory} for this process */
  outside(path: string): string;
}

/**
 * @param manyIds whether a normal user's subordinate ids are mapped too, so that the host can have
 *   users with their own ids (`privileged`) as under root
 */
export async function makeStage(census: Census, manyIds = false): Promise<Stage> {
  const byRoot = getuid?.() === 0;
  const bottom = new Namespace(census);
  const mapping = manyIds ? ["--map-root-user", "--map-auto"] : ["--map-root-user"];
  const namespace = byRoot
    ? await bottom.unshare(["mount", "net"])
    : await bottom.unshare(["user", "mount", "net"], mapping);
  const directory = mountPoint();
  const checkout = join(directory, "checkout");
  await namespace.shell(`
    mount -t tmpfs -o mode=1777 tmpfs ${directory}
    ${install(checkout)}
  `);
  return {
    namespace,
    privileged: byRoot || manyIds,
    directory,
    inside: (path) => (isBelow(root, path) ? join(checkout, relative(root, path)) : path),
    outside: (path) => `/proc/${namespace.pid}/root${path}`,
  };
}

/**
 * Makes what the lab runs accessible to every user, whatever the mode of the directories above:
 * by a bind mount, or by a copy if the files themselves are closed to others (umask 077).
 */
function install(checkout: string): string {
  const runtime = relative(root, dirname(dirname(realpathSync(node))));
  const needed = ["bin", "dist", "node_modules/.bin", runtime, "test/lab"];
  // Servers of packages that this machine does not have, and clients that scripts/modern has built.
  const built = ["build/servers", "build/modern"].filter((part) => exists(join(root, part)));
  const parts = [...needed, ...built];
  return `
    cd '${root}'
    umask 022
    for part in ${parts.join(" ")}; do
      mkdir -p ${checkout}/$part
      if [ -z "$(find $part ! -perm -o=r -print -quit)" ]; then
        mount --rbind $part ${checkout}/$part
      else
        cp -RT $part ${checkout}/$part
        chmod -R a+rX ${checkout}/$part
      fi
    done
  `;
}

/** A directory of every Debian system that the lab does not need. */
function mountPoint(): string {
  const usable = ["/mnt", "/srv", "/media", "/opt"].find(
    (path) => exists(path) && !isBelow(path, root) && !isBelow(path, process.execPath),
  );
  if (usable === undefined) throw new Error("no directory to mount the lab's files on");
  return usable;
}

function isBelow(directory: string, path: string): boolean {
  return !relative(directory, path).startsWith("..");
}

function exists(path: string): boolean {
  try {
    accessSync(path, constants.F_OK);
    return true;
  } catch {
    return false;
  }
}
