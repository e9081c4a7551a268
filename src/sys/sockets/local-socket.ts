import { LONGEST_SOCKET_PATH } from "../../config/constants.js";
import { Errno, Socket } from "../constants.js";
import { native } from "../native.js";

/** struct sockaddr_un of unix(7): the family, then sun_path with its terminating NUL. */
const PATH_OFFSET = 2;
const PATH_SIZE = LONGEST_SOCKET_PATH + 1;

/** Of a listening socket: clients that may wait for accept(2). The kernel cuts it to net.core.somaxconn. */
export const BACKLOG = 4096;

const name = new Uint8Array(new ArrayBuffer(PATH_OFFSET + PATH_SIZE));
const nameMemory = native.registerMemory(name.buffer);

/**
 * A socket that listens at `path`; bind(2) creates the file.
 * @param type Socket.Stream or Socket.SequencedPackets
 * @returns the socket, or a negative errno: ENAMETOOLONG above LONGEST_SOCKET_PATH
 */
export function listenLocal(path: string, type: number, backlog: number): number {
  const length = writeName(path);
  if (length < 0) return length;
  const fd = native.socket(Socket.Local, type, 0);
  if (fd < 0) return fd;
  const bound = native.bind(fd, nameMemory, 0, length);
  return closedOnError(fd, bound < 0 ? bound : native.listen(fd, backlog));
}

/** @returns a stream socket connected to the listener at `path`, or a negative errno */
export function connectLocal(path: string): number {
  const length = writeName(path);
  if (length < 0) return length;
  const fd = native.socket(Socket.Local, Socket.Stream, 0);
  if (fd < 0) return fd;
  return closedOnError(fd, native.connect(fd, nameMemory, 0, length));
}

/**
 * A datagram socket connected to another: a service manager's (sd_notify(3)), or that of the system's log.
 * @param path its file; or an @ and its name in the abstract namespace (unix(7))
 * @returns the socket, or a negative errno
 */
export function connectNotifier(path: string): number {
  const length = writeName(path);
  if (length < 0) return length;
  const isAbstract = path.startsWith("@");
  if (isAbstract) name[PATH_OFFSET] = 0;
  const fd = native.socket(Socket.Local, Socket.Datagram, 0);
  if (fd < 0) return fd;
  return closedOnError(fd, native.connect(fd, nameMemory, 0, isAbstract ? length - 1 : length));
}

/** Accepts a client. @returns its socket, or a negative errno: EAGAIN when none waits */
export function acceptLocal(listener: number): number {
  return native.accept(listener, nameMemory, 0, name.length);
}

/** Whether a socket, of whatever family, has somebody at its other end. */
export function isConnected(fd: number): boolean {
  return native.getpeername(fd, nameMemory, 0, name.length) >= 0;
}

function writeName(path: string): number {
  const bytes = Buffer.from(path);
  if (bytes.length > LONGEST_SOCKET_PATH) return -Errno.ENAMETOOLONG;
  // An empty path would mean an abstract name, which any user may connect to (unix(7)).
  if (bytes.length === 0) return -Errno.ENOENT;
  name.fill(0);
  name[0] = Socket.Local;
  name.set(bytes, PATH_OFFSET);
  return PATH_OFFSET + bytes.length + 1;
}

function closedOnError(fd: number, result: number): number {
  if (result >= 0) return fd;
  native.close(fd);
  return result;
}
