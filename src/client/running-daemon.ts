import { Loop } from "../loop/loop.js";
import { daemonSocket } from "../rpc/daemon-paths.js";
import { Session } from "./session.js";

/**
 * Asks the daemon, if it runs. It is not started: what a container runtime calls is in the runtime's namespaces, and
 * may be killed with its service.
 * @param use gets null when there is no daemon
 */
export async function withRunningDaemon<T>(
  use: (session: Session | null) => T | Promise<T>,
): Promise<T> {
  const loop = new Loop();
  loop.start();
  const session = Session.open(daemonSocket(), loop, () => undefined);
  try {
    return await use(session);
  } finally {
    session?.close();
    loop.stop();
  }
}
