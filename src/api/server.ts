import { lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { UserError } from "../base/errors.js";
import type { Guest } from "../guest.js";
import { answer, isComplete, refusal } from "./requests.js";

/** slirp4netns reads 4096 bytes and takes as many for too many. */
const MOST_REQUEST = 4095;

/** For how long a client may take to send its request and fetch the answer, in ms. */
const TIME_LIMIT = 5_000;

const MOST_CONNECTIONS = 256;

/** 0600: whoever may speak here may open ports as this user. */
const UMASK = 0o177;

/**
 * Listens at `path` for requests about a guest, for as long as the process runs.
 * @returns what takes the socket away
 * @throws UserError when the path cannot be listened at
 */
export async function serveApi(path: string, guest: Guest): Promise<() => void> {
  await removeStale(path);
  const server = createServer({ allowHalfOpen: true }, (client) => serve(client, guest));
  server.maxConnections = MOST_CONNECTIONS;
  try {
    await listen(server, path);
  } catch (error) {
    throw new UserError(`API socket ${path}: ${sentenceOf(error)}`);
  }
  return () => removeQuietly(path);
}

/** The socket file is made while the umask is set: listen() binds before it returns. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const before = process.umask(UMASK);
    server.listen(path, resolve);
    process.umask(before);
  });
}

/** A socket on which nobody listens is what a killed process has left. */
async function removeStale(path: string): Promise<void> {
  if (!isSocket(path)) return;
  if (await isLive(path)) {
    throw new UserError(`API socket ${path} is in use by another process: choose another path`);
  }
  removeQuietly(path);
}

function isSocket(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}

function isLive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe
      .once("connect", () => resolve(true))
      .once("error", (error) => {
        resolve(codeOf(error) !== "ECONNREFUSED");
      });
    probe.once("connect", () => probe.destroy());
  });
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is gone, or not ours to remove: listening tells.
  }
}

function serve(client: Socket, guest: Guest): void {
  let text = "";
  let isAnswered = false;
  const respond = (what: string): void => {
    if (isAnswered) return;
    isAnswered = true;
    client.end(what);
  };
  client.setEncoding("utf8");
  setTimeout(() => client.destroy(), TIME_LIMIT).unref();
  client.on("error", () => client.destroy());
  client.on("data", (part: string) => {
    text += part;
    if (Buffer.byteLength(text) > MOST_REQUEST) respond(refusal("too large message"));
    else if (!isAnswered && isComplete(text)) respond(answer(guest, text));
  });
  client.on("end", () => {
    if (!isAnswered) respond(answer(guest, text));
  });
}

function sentenceOf(error: unknown): string {
  const code = codeOf(error);
  switch (code) {
    case "EADDRINUSE":
      return "the path exists and is not a socket: choose another";
    case "ENOENT":
      return "its directory does not exist: make it";
    case "EACCES":
      return "not permitted to make it there: choose another directory";
    case "EINVAL":
    case "ENAMETOOLONG":
      return "the path is too long for a socket: 107 bytes at most";
    default:
      return `cannot listen (${code}): choose another path`;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}
