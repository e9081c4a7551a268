import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import type { Write } from "../base/log.js";
import { native } from "./native.js";

const { O_WRONLY, O_APPEND, O_NONBLOCK } = constants;

/**
 * What writes to an inherited descriptor without waiting for who reads it: a pipe or a socket that
 * nobody reads would stop all networking at the first line too many. Its mode belongs to everybody
 * who has it: a pipe is opened once more, for us, and a socket asked with each line.
 */
export function unblockedWriter(fd: number): Write {
  try {
    const status = fstatSync(fd);
    if (status.isSocket()) return socketWriter(fd);
    if (status.isFIFO()) return fileWriter(openSync(`/proc/self/fd/${fd}`, PIPE_MODE));
  } catch {
    // Closed, or nobody reads it: writing tells.
  }
  return fileWriter(fd);
}

const PIPE_MODE = O_WRONLY | O_APPEND | O_NONBLOCK;

/** @param fd that does not block */
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
