import { release } from "node:os";

/** Since Linux 6.2 a TAP takes UDP superframes (TUN_F_USO4, TUN_F_USO6). */
export const UDP_OFFLOAD_RELEASE = [6, 2] as const;

/**
 * Whether a kernel is older than a version.
 * @param running as uname(2) has it: 6.1.0-13-amd64
 */
export function isOlderRelease(
  running: string,
  [major, minor]: readonly [number, number],
): boolean {
  const [ownMajor = 0, ownMinor = 0] = running.split(".").map((part) => Number.parseInt(part, 10));
  return ownMajor < major || (ownMajor === major && ownMinor < minor);
}

/** Whether TAPs take UDP superframes. */
export const TAPS_TAKE_DATAGRAMS = !isOlderRelease(release(), UDP_OFFLOAD_RELEASE);
