import { lstatSync } from "node:fs";
import path from "node:path";
import { allProcesses, argumentsOf, isOwnProcess } from "../../rpc/processes.js";
import type { Place } from "./place.js";
import { socketPlace } from "./sockets.js";

/** A guest that a container engine has started, with an API socket where the engine wanted it. */
export interface OtherGuest {
  readonly place: Place;
  /** The container's id, if the socket is named by it: podman's CONTAINER.net. */
  readonly id: string | null;
  /** The container's name, if its monitor's command line has it. */
  readonly name: string | null;
}

/** How a network's process may be called. */
const PROGRAMS = ["slirp4netns", "slipway"];

const CONTAINER_SOCKET = /^([0-9a-f]{64})\.net$/;

/**
 * Guests of this user whose API sockets are named by the command lines of their processes, as podman and RootlessKit
 * start them. Whether Slipway serves them is up to who asks: slirp4netns has no query_status.
 */
export function otherGuests(): readonly OtherGuest[] {
  const lines = allProcesses().filter(isOwnProcess).map(argumentsOf);
  const names = new Map(lines.flatMap((line) => monitoredBy(line) ?? []));
  const sockets = new Set(lines.flatMap((line) => apiSocketOf(line) ?? []));
  return [...sockets].filter(isOwnSocket).map((socket) => {
    const id = CONTAINER_SOCKET.exec(path.basename(socket))?.[1] ?? null;
    const name = id === null ? null : (names.get(id) ?? null);
    return { place: socketPlace(socket, name), id, name };
  });
}

type CommandLine = readonly string[];

/** The value of --api-socket of a process that serves a network. */
function apiSocketOf(line: CommandLine): string | null {
  const program = line.findIndex((word) => PROGRAMS.includes(path.basename(word)));
  if (program < 0) return null;
  const end = line.indexOf("--", program);
  const words = line.slice(program + 1, end < 0 ? undefined : end);
  return optionValue(words, "--api-socket", "-a", path.isAbsolute);
}

/** The id and name of the container that a conmon monitors. */
function monitoredBy(line: CommandLine): readonly [id: string, name: string][] | null {
  if (path.basename(line[0] ?? "") !== "conmon") return null;
  const id = optionValue(line, "--cid", "-c", (text) => /^[0-9a-f]{64}$/.test(text));
  const name = optionValue(line, "--name", "-n", (text) => /^[\w.-]+$/.test(text));
  return id === null || name === null ? null : [[id, name]];
}

/** The value of an option in its forms of getopt_long(3). */
function optionValue(
  words: CommandLine,
  long: string,
  short: string,
  isRight: (text: string) => boolean,
): string | null {
  for (const [index, word] of words.entries()) {
    const found =
      word === long || word === short
        ? words[index + 1]
        : [`${long}=`, short]
            .map((start) => (word.startsWith(start) ? word.slice(start.length) : ""))
            .find(isRight);
    if (found !== undefined && isRight(found)) return found;
  }
  return null;
}

function isOwnSocket(file: string): boolean {
  try {
    const status = lstatSync(file);
    return status.isSocket() && status.uid === process.geteuid?.();
  } catch {
    // It is gone, or where we may not look.
    return false;
  }
}
