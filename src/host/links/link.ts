import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { AttachConfig, Target } from "../../commandline/invocation.js";
import type { GuestConfig } from "../../config/guest-config.js";
import type { Guest } from "../../guest/guest.js";
import type { TapHandle } from "../../guest/tap-handle.js";
import type { Loop } from "../../loop/loop.js";
import { openTap } from "../../netns/tap.js";
import { Errno } from "../../sys/constants.js";
import { adoptInherited } from "../../sys/inherited.js";
import { native } from "../../sys/native.js";
import { tapSettings } from "../guest-config.js";

/** How a guest is connected. */
export interface Link {
  readonly tap: TapHandle;
  /** To be called once the guest is served. @param end ends the process: the link will not come back */
  start(loop: Loop, guest: Guest, end: (why: string) => void): void;
}

/**
 * Opens what the target names.
 * @throws UserError
 */
export async function openLink(
  { target, tap: name, configure, mac }: AttachConfig,
  config: GuestConfig,
): Promise<Link> {
  if (target.kind === "namespace") {
    const tap = openTap(target, name, configure ? tapSettings(config, mac) : null);
    return { tap, start: () => {} };
  }
  if (configure)
    log.warn("--configure has no effect on this target: only the guest can set its addresses");
  if (target.kind === "tapfd") return { tap: inheritedTap(target.fd), start: () => {} };
  const { openBess } = await import("./bess.js");
  const tap = openBess(target.path);
  return { tap, start: (loop, guest, end) => tap.start(loop, guest, end) };
}

/** What is connected, for the log. */
export function nameOf(target: Target): string {
  switch (target.kind) {
    case "namespace":
      return `the namespace of ${target.netns}`;
    case "tapfd":
      return `the TAP of descriptor ${target.fd}`;
    case "bess":
      return `the client of ${target.path}`;
  }
}

function inheritedTap(fd: number): TapHandle {
  adoptInherited("TAP descriptor", fd);
  const isSetUp = native.setUpTap(fd);
  if (isSetUp >= 0) return { fd, vnetHeader: isSetUp === 1 };
  throw new UserError(`descriptor ${fd} ${flawOf(-isSetUp)}`);
}

function flawOf(errno: number): string {
  switch (errno) {
    case Errno.ENOTTY:
      return "is not a TAP: open /dev/net/tun and call TUNSETIFF";
    case Errno.EINVAL:
      return "is not a TAP without packet information: open it with IFF_TAP and IFF_NO_PI";
    default:
      return `cannot be set up as a TAP (errno ${errno}): make another`;
  }
}
