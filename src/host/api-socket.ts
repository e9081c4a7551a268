import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import type { ApiSocketOption } from "../commandline/invocation.js";
import { ownSocketPath } from "../rpc/api-path.js";
import { isListenedAt, removeQuietly } from "../sys/sockets/private-socket.js";
import type { ServeApi } from "./serve-guest.js";

/** A listening socket. Clients wait until it is served. */
export interface ApiListener {
  readonly path: string;
  readonly serve: ServeApi;
}

/**
 * Listens for API requests until the process ends; then the socket is removed.
 * @param listener a socket that listens already, and that somebody else removes; null: one is made
 * @returns null when the option is "none", or no socket of our own choice can be made
 * @throws UserError when it cannot listen at the path that the user named
 */
export async function listenForApi(
  option: ApiSocketOption,
  listener: number | null = null,
): Promise<ApiListener | null> {
  const path = pathOf(option);
  if (path === null) return null;
  const { listenApi, serveApi } = await import("../api/server.js");
  const listen = (): number => {
    const made = listenApi(path);
    process.once("exit", () => removeQuietly(path));
    return made;
  };
  try {
    const fd = listener ?? listen();
    return { path, serve: (...about) => serveApi(fd, ...about) };
  } catch (error) {
    if (option !== "own") throw error;
    log.info("no API socket: %s", error instanceof Error ? error.message : error);
    return null;
  }
}

/**
 * Where a guest with a name takes requests: the path is the name, so that it is found by it, and there is one at a time.
 * @throws UserError when the name is taken
 */
export function socketOfName(name: string): ApiSocketOption {
  const path = ownSocketPath(name);
  if (path === null) {
    throw new UserError("--name needs a directory of yours to be found in: set XDG_RUNTIME_DIR");
  }
  if (!isListenedAt(path)) return { path };
  throw new UserError(`the name ${name} is taken by another run: choose another`);
}

function pathOf(option: ApiSocketOption): string | null {
  if (typeof option === "object") return option.path;
  return option === "own" ? ownSocketPath() : null;
}
