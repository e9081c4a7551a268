import type { ApiOptions } from "../api/server.js";
import type { Subject } from "../api/subject.js";
import { log } from "../base/log.js";
import type { Loop } from "../loop.js";
import { removeQuietly } from "../sys/private-socket.js";
import { ownSocketPath } from "./api-path.js";

/** Where requests are taken: a path that the user named, one of our own choice, or nowhere. */
export type ApiSocketOption = { readonly path: string } | "own" | "none";

/**
 * Takes requests about a guest until the process ends, however it does; then the socket is removed.
 * @param listener the socket of that path, where it listens already; null: it is made
 * @returns its path, or null when there is none
 * @throws UserError when they cannot be taken where the user wants it; without our own socket it goes
 */
export async function openApiSocket(
  option: ApiSocketOption,
  loop: Loop,
  subject: Subject,
  options: ApiOptions,
  listener: number | null = null,
): Promise<string | null> {
  const path = pathOf(option);
  if (path === null) return null;
  const { serveApi, serveApiOf } = await import("../api/server.js");
  if (listener !== null) {
    serveApiOf(listener, loop, subject, options);
    return path;
  }
  try {
    process.once("exit", serveApi(path, loop, subject, options));
    return path;
  } catch (error) {
    return goWithout(option, error);
  }
}

/** A socket at which nobody is answered yet. */
export interface ApiListener {
  readonly path: string;
  readonly fd: number;
}

/**
 * Makes the socket alone, for who must know it before there is a guest; it is removed at the end.
 * @throws UserError as openApiSocket()
 */
export async function listenForApi(option: ApiSocketOption): Promise<ApiListener | null> {
  const path = pathOf(option);
  if (path === null) return null;
  const { listenApi } = await import("../api/server.js");
  try {
    const fd = listenApi(path);
    process.once("exit", () => removeQuietly(path));
    return { path, fd };
  } catch (error) {
    return goWithout(option, error);
  }
}

/** Of a path that the user named the reason is thrown; we can do without one of our own choice. */
function goWithout(option: ApiSocketOption, error: unknown): null {
  if (option !== "own") throw error;
  log.info("no API socket: %s", error instanceof Error ? error.message : error);
  return null;
}

function pathOf(option: ApiSocketOption): string | null {
  if (typeof option === "object") return option.path;
  return option === "own" ? ownSocketPath() : null;
}
