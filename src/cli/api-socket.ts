import type { ApiOptions } from "../api/server.js";
import type { Subject } from "../api/subject.js";
import { log } from "../base/log.js";
import type { Loop } from "../loop.js";
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
    if (option !== "own") throw error;
    log.info("no API socket: %s", error instanceof Error ? error.message : error);
    return null;
  }
}

function pathOf(option: ApiSocketOption): string | null {
  if (typeof option === "object") return option.path;
  return option === "own" ? ownSocketPath() : null;
}
