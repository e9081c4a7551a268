import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const isRoot = process.getuid?.() === 0;

const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
export const checkout = fileURLToPath(new URL("../..", import.meta.url));

/** Where `nobody` sees the checkout, which may lie in a home that only root can enter. */
const meetingPoint = "/mnt";

/** A command prefix: what follows runs as a user without privileges, which we may be already. */
export function unprivileged(): string[] {
  if (!isRoot) return [];
  const enter = 'mount --bind "$0" "$1"; shift; exec "$@"';
  return ["unshare", "-m", "sh", "-ec", enter, checkout, meetingPoint, "setpriv", ...nobody, "--"];
}

/** The path by which a command after {@link unprivileged} reaches a file. */
export function reachable(path: string): string {
  const below = relative(checkout, path);
  return isRoot && !below.startsWith("..") ? join(meetingPoint, below) : path;
}
