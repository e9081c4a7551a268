import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import { adoptInherited } from "../sys/inherited.js";
import { native } from "../sys/native.js";
import { connectNotifier } from "../sys/sockets/local-socket.js";

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_LISTENER = 3;

/**
 * The listening socket that a service manager has passed (LISTEN_FDS).
 * @returns a handle; null: none was passed
 * @throws UserError when there is more than one
 */
export function inheritedListener(environment: NodeJS.ProcessEnv): number | null {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = environment;
  // Otherwise it was meant for a process before us, which did not unset it.
  if (pid !== `${process.pid}` || count === undefined) return null;
  if (count !== "1") {
    throw new UserError(
      `LISTEN_FDS is ${count}, and the daemon listens at one socket: give its socket unit one ListenStream=`,
    );
  }
  adoptInherited("LISTEN_FDS: descriptor", FIRST_LISTENER);
  return FIRST_LISTENER;
}

/** Reports to a service manager, as for systemd's Type=notify; made before the sandbox is entered. */
export class ServiceManager {
  readonly #fd: number | null;

  constructor({ NOTIFY_SOCKET: path }: NodeJS.ProcessEnv) {
    const fd = path === undefined || path === "" ? null : connectNotifier(path);
    this.#fd = fd !== null && fd >= 0 ? fd : null;
    if (fd !== null && fd < 0) log.warn(`NOTIFY_SOCKET ${path}: ${getSystemErrorName(fd)}`);
  }

  /** @param state as sd_notify(3) has them */
  tell(state: "READY=1" | "STOPPING=1"): void {
    if (this.#fd !== null) native.writeBytes(this.#fd, Buffer.from(state));
  }
}
