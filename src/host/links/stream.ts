import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";
import type { PastaTarget } from "../../commandline/pasta/config.js";
import { Errno, Socket } from "../../sys/constants.js";
import { adoptInherited } from "../../sys/inherited.js";
import { native } from "../../sys/native.js";
import { isConnected } from "../../sys/sockets/local-socket.js";
import { listenAtFirstFree, listenPrivately } from "../../sys/sockets/private-socket.js";
import { BACKLOG, SocketLink } from "./socket-link.js";

/** Where a client is waited for unless the user names a path: passt(1), --socket. */
const USUAL_PATHS: readonly string[] = Array.from(
  { length: 64 },
  (_, index) => `/tmp/passt_${index + 1}.socket`,
);

/** Who connects, and whether the process serves others afterwards. */
export type StreamTarget = Extract<PastaTarget, { readonly kind: "socket" | "fd" }>;

/**
 * A link by a stream socket, each frame preceded by its length, as virtual machines have it (QEMU's -netdev stream).
 * @throws UserError when the path cannot be listened at, or the descriptor is no connected stream socket
 */
export function openStream(target: StreamTarget): SocketLink {
  if (target.kind === "fd") {
    const client = inheritedClient(target.fd);
    const name = `descriptor ${client}`;
    return new SocketLink({ name, isStream: true, listener: null, client, isOneOff: true });
  }
  const { path, listener } = listenAt(target.path);
  const { isOneOff } = target;
  return new SocketLink({ name: path, isStream: true, listener, client: null, isOneOff });
}

function listenAt(path: string | null): { readonly path: string; readonly listener: number } {
  if (path !== null) {
    return { path, listener: listenPrivately("socket", path, Socket.Stream, BACKLOG) };
  }
  const free = listenAtFirstFree(USUAL_PATHS, Socket.Stream, BACKLOG);
  if (free !== null) return free;
  throw new UserError(
    `none of ${USUAL_PATHS[0]} to ${USUAL_PATHS.at(-1)} is free: name another path by --socket`,
  );
}

function inheritedClient(fd: number): number {
  adoptInherited("--fd", fd);
  const flaw = flawOf(fd);
  if (flaw === null) return fd;
  throw new UserError(`--fd ${fd} ${flaw}: give a connected stream socket`);
}

function flawOf(fd: number): string | null {
  const option = (name: number) => native.getsockopt(fd, Socket.LevelSocket, name);
  const type = option(Socket.Type);
  if (type === -Errno.ENOTSOCK) return "is not a socket";
  if (type < 0) return `cannot be used (${getSystemErrorName(type)})`;
  if (type !== Socket.Stream) return "is not a stream socket";
  if (option(Socket.AcceptsConnections) === 1) return "listens";
  return isConnected(fd) ? null : "is not connected";
}
