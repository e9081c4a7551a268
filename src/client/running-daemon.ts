import { Loop } from "../loop/loop.js";
import { daemonSocket } from "../rpc/daemon-paths.js";
import { Session } from "./session.js";

/**
 * Opens a session with the daemon if it runs, and does not start it: a program that a container runtime calls is in the
 * runtime's namespaces, and its children may be killed with the runtime's service.
 * @param use gets null when no daemon runs
 */
export async function withRunningDaemon<T>(
  use: (session: Session | null) => T | Promise<T>,
): Promise<T> {
  const loop = new Loop();
  loop.start();
  let session: Session | null = null;
  try {
    session = await Session.open(daemonSocket(), loop, () => undefined);
    return await use(session);
  } finally {
    session?.close();
    loop.stop();
  }
}
