import { log } from "../base/log.js";
import type { ApiSocketOption } from "../commandline/invocation.js";
import { ownSocketPath } from "../rpc/api-path.js";
import { removeQuietly } from "../sys/sockets/private-socket.js";
import type { ServeApi } from "./serve-guest.js";

/** A socket that listens; who connects waits until it is served. */
export interface ApiListener {
  readonly path: string;
  readonly serve: ServeApi;
}

/**
 * Listens for requests about a guest until the process ends; then the socket is removed.
 * @param listener what listens there already, and is not ours to remove; null: nothing does
 * @returns null when there is none
 * @throws UserError when it cannot be where the user wants it; without our own socket it goes
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
    // Of a path that the user named the reason is thrown; we can do without one of our own choice.
    if (option !== "own") throw error;
    log.info("no API socket: %s", error instanceof Error ? error.message : error);
    return null;
  }
}

function pathOf(option: ApiSocketOption): string | null {
  if (typeof option === "object") return option.path;
  return option === "own" ? ownSocketPath() : null;
}
