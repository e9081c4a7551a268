import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";

const { EACCES, EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENODEV, ENOSPC, EPERM, EPIPE } =
  constants.errno;

/** Sentences of strerror(3), which clients of pasta look for. */
const SENTENCES: Readonly<Record<number, string>> = {
  [EACCES]: "Permission denied",
  [EADDRINUSE]: "Address already in use",
  [EADDRNOTAVAIL]: "Cannot assign requested address",
  [EMFILE]: "Too many open files",
  [ENFILE]: "Too many open files in system",
  [ENODEV]: "No such device",
  [ENOSPC]: "Too many open files",
  [EPERM]: "Operation not permitted",
  [EPIPE]: "Our process in the namespace is gone",
};

/** Errnos that tell of this process, not of one port. */
const OF_THE_PROCESS: readonly number[] = [EMFILE, ENFILE, ENOSPC, EPIPE];

/** Whether no other port could be had either. @param errno positive */
export function isOfTheProcess(errno: number): boolean {
  return OF_THE_PROCESS.includes(errno);
}

/**
 * The error for a port that cannot be forwarded, in the words of pasta.
 * @param errno positive
 * @param option as it was written, such as `-t 8080:80`
 */
export function forwardingFailure(port: number, errno: number, option: string): UserError {
  const hint = errno === EMFILE ? ": raise the limit (ulimit -n)" : "";
  return new UserError(
    `Failed to bind port ${port} (${sentenceOf(errno)}) for option '${option}'${hint}`,
  );
}

/** The error where none of many ports can be forwarded. @param errno of one of them, positive */
export function noneForwarded(errno: number, option: string): UserError {
  return new UserError(`Failed to bind any port (${sentenceOf(errno)}) for option '${option}'`);
}

/** A line about the ports of a range that cannot be had. @param ports in order */
export function leftOut(option: string, ports: readonly number[], errno: number): string {
  return `not forwarded for option '${option}': ports ${rangesOf(ports)} (${sentenceOf(errno)})`;
}

function sentenceOf(errno: number): string {
  return SENTENCES[errno] ?? getSystemErrorName(-errno);
}

/** Most ranges that a line names. */
const MOST_RANGES = 4;

function rangesOf(ports: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const port of ports) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] === port - 1) range[1] = port;
    else ranges.push([port, port]);
  }
  const texts = ranges
    .slice(0, MOST_RANGES)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  const rest = ranges.length - texts.length;
  return texts.join(", ") + (rest > 0 ? ` and ${rest} ranges more` : "");
}
