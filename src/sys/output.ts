import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import type { Write } from "../base/log.js";
import { native } from "./native.js";

const { O_WRONLY, O_APPEND, O_NONBLOCK } = constants;

/**
 * Writes to an inherited descriptor without blocking: a pipe or socket that nobody reads would stop all networking when
 * it is full. O_NONBLOCK cannot be set on it, as all processes that share it would get that too. So a pipe is opened
 * again, and a socket is written with MSG_DONTWAIT.
 */
export function unblockedWriter(fd: number): Write {
  try {
    const status = fstatSync(fd);
    if (status.isSocket()) return socketWriter(fd);
    if (status.isFIFO()) return fileWriter(openSync(`/proc/self/fd/${fd}`, PIPE_MODE));
  } catch {
    // Closed, or nobody reads it: the first write fails, and the error is handled there.
  }
  return fileWriter(fd);
}

const PIPE_MODE = O_WRONLY | O_APPEND | O_NONBLOCK;

/** @param fd non-blocking, or a file */
export function fileWriter(fd: number): Write {
  return (text) => writeSync(fd, text);
}

function socketWriter(fd: number): Write {
  const copy = native.copyFd(fd);
  return (text) => {
    const sent = native.sendPassing(copy, Buffer.from(text), null);
    if (sent >= 0) return sent;
    const code = getSystemErrorName(sent);
    throw Object.assign(new Error(`stderr: ${code}`), { code });
  };
}
