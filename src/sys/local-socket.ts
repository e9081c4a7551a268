import { Errno, Socket } from "./constants.js";
import { native } from "./native.js";

/** struct sockaddr_un of unix(7): the family, then sun_path with its terminating zero. */
const PATH_OFFSET = 2;
const PATH_SIZE = 108;

/** Clients that wait for accept(2); cut to net.core.somaxconn by the kernel. */
export const BACKLOG = 4096;

const name = new Uint8Array(new ArrayBuffer(PATH_OFFSET + PATH_SIZE));
const nameMemory = native.registerMemory(name.buffer);

/** Longest path of a local socket, in bytes. */
export const LONGEST_SOCKET_PATH = PATH_SIZE - 1;

/**
 * A socket that listens at `path`, which is made by this call.
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

/** @returns a socket connected to whoever listens at `path`, or a negative errno */
export function connectLocal(path: string): number {
  const length = writeName(path);
  if (length < 0) return length;
  const fd = native.socket(Socket.Local, Socket.Stream, 0);
  if (fd < 0) return fd;
  return closedOnError(fd, native.connect(fd, nameMemory, 0, length));
}

/**
 * A datagram socket connected to that of a service manager (sd_notify(3)).
 * @param path of its file; or, after an @, its name in the abstract namespace (unix(7))
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

/** The next client of a listening socket. @returns a negative errno when there is none */
export function acceptLocal(listener: number): number {
  return native.accept(listener, nameMemory, 0, name.length);
}

function writeName(path: string): number {
  const bytes = Buffer.from(path);
  if (bytes.length > LONGEST_SOCKET_PATH) return -Errno.ENAMETOOLONG;
  // It would be a name without a file, open to everybody (unix(7), abstract).
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
