import { existsSync, readdirSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { errnoOf, UserError } from "../../base/errors.js";
import { LOOK, Patience } from "../../client/patience.js";
import { isPid, isValidName } from "../../config/names.js";
import { socketPathOf } from "../../rpc/api-path.js";
import { apiDirectory } from "../../rpc/xdg.js";
import type { Place } from "./place.js";

/** Looks at a network without an answer: 10 s. */
const MOST_LOOKS = 20;

const SUFFIX = ".sock";

/** The API socket at a path. @param name of the guest; null: the path may say it */
export function socketPlace(socket: string, name: string | null = null): Place {
  const known = name ?? nameOf(socket);
  return {
    label: socket,
    identity: known === null ? { socket } : { socket, name: known },
    ask: (request) => ask(socket, request),
  };
}

/** Of this user's networks that run without the daemon. */
export async function ownPlaces(): Promise<readonly Place[]> {
  const directory = apiDirectory();
  const sockets = directory === null ? [] : socketsIn(directory);
  const live = await Promise.all(sockets.map(isLive));
  return sockets.filter((_, index) => live[index]).map((socket) => socketPlace(socket));
}

/** The running guest of that name, or null. */
export async function ownPlaceNamed(name: string): Promise<Place | null> {
  const directory = apiDirectory();
  if (directory === null || !isValidName("name", name)) return null;
  const socket = socketPathOf(directory, name);
  return existsSync(socket) && (await isLive(socket)) ? socketPlace(socket) : null;
}

/** The name of a guest whose socket is in the directory of API sockets; null: it has only a process. */
function nameOf(socket: string): string | null {
  const name = path.basename(socket, SUFFIX);
  return path.dirname(socket) === apiDirectory() && !isPid(name) ? name : null;
}

function socketsIn(directory: string): readonly string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith(SUFFIX));
    return names.map((name) => path.join(directory, name));
  } catch {
    return [];
  }
}

/**
 * Whether somebody listens at a socket, also if so many clients wait that no other may (EAGAIN). Removes one that a killed
 * process has left.
 */
function isLive(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error) => {
      if (errnoOf(error) === "ECONNREFUSED") unlinkSync(socket);
      resolve(errnoOf(error) === "EAGAIN");
    });
  });
}

async function ask(at: string, what: string): Promise<string> {
  const socket = connect({ path: at, allowHalfOpen: true });
  let pid = pidOf(at);
  const patience = new Patience({
    name: `the network at ${at}`,
    pid: () => pid,
    mostLooks: MOST_LOOKS,
    advice: () => "try again later",
  });
  const look = async (): Promise<void> => {
    pid ??= await listenerOf(at);
    patience.look();
  };
  const timer = setInterval(() => void look().catch((error) => socket.destroy(error)), LOOK);
  socket.end(what);
  try {
    return await text(socket);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${at}: ${sentenceOf(errnoOf(error))}`);
  } finally {
    clearInterval(timer);
  }
}

/** The process that serves a socket, if Slipway has named the socket by it. */
function pidOf(socket: string): number | null {
  const name = path.basename(socket, SUFFIX);
  return isPid(name) ? Number(name) : null;
}

/** The process that listens at a socket; null: it is not known. It takes the addon, which others do not need. */
async function listenerOf(socket: string): Promise<number | null> {
  const [{ connectLocal }, { pidOfPeer }, { native }] = await Promise.all([
    import("../../sys/sockets/local-socket.js"),
    import("../../sys/peers/peer.js"),
    import("../../sys/native.js"),
  ]);
  const fd = connectLocal(socket);
  if (fd < 0) return null;
  try {
    return pidOfPeer(fd);
  } finally {
    native.close(fd);
  }
}

function sentenceOf(code: string): string {
  switch (code) {
    case "ENOENT":
      return "there is no such socket: give the path of the network's API socket";
    case "ECONNREFUSED":
      return "nobody listens there any more, as its network has ended: see slipway status";
    case "EAGAIN":
      return "too many clients wait for an answer there: try again";
    case "EACCES":
      return "not permitted: it belongs to another user";
    default:
      return `cannot query it (${code})`;
  }
}
