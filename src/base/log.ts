import { writeSync } from "node:fs";
// pino's entry for browsers is the same logger without worker threads and streams. It loads in 1.3 ms, the other in
// 7–11 (bundled, Node 26), and exec → ready must stay under 40.
import pino from "pino/browser.js";
import { monotonicMs } from "./clock.js";
import { errnoOf } from "./errors.js";
import { programName } from "./program.js";
import { Stdio } from "./stdio.js";

/** Values of --log-level, most verbose first. */
export const LOG_LEVELS = ["trace", "debug", "info", "warning", "error"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Writes text, without waiting for a reader.
 * @returns how many bytes were taken
 * @throws Error whose `code` tells why none were
 */
export type Write = (text: string) => number;

export interface LogSettings {
  readonly write: Write;
  /** Writes to stderr, also when the log is a file. */
  readonly writeStderr: Write;
  /** Whether lines go to a file, and not to stderr. */
  readonly isFile: boolean;
  readonly level: LogLevel;
  /** `plain`: `PROGRAM: LEVEL: message`; `text`: that with the time; `json`: an object a line. */
  readonly format: "plain" | "text" | "json";
  /** Most lines per second; further ones are counted and suppressed. */
  readonly linesPerSecond: number;
}

export const DEFAULT_LINES_PER_SECOND = 100;

const WARNING = 40;
const FATAL = 60;

/** Interval for the limit and for reports of suppressed lines, in ms. */
const SECOND = 1_000;

const LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warning",
  50: "error",
  60: "fatal",
};

/** A record from pino: the message, and the fields of the caller. */
interface LogRecord {
  readonly level: number;
  readonly msg: string;
  /** In ms since 1970. */
  readonly time: number;
}

const writeStderr: Write = (text) => writeSync(Stdio.Error, text);

let settings: LogSettings = {
  write: writeStderr,
  writeStderr,
  isFile: false,
  level: "warning",
  format: "plain",
  linesPerSecond: DEFAULT_LINES_PER_SECOND,
};

/** The process's log; by default lines `PROGRAM: LEVEL: message` on stderr, warnings and errors only. */
export const log = pino({ level: pinoLevel(settings.level), browser: { write: onRecord } });

/** The process's log, or a child of it with a level of its own. */
export type Log = Pick<typeof log, "debug" | "info" | "warn" | "error" | "level">;

/** A child of the process's log, for one guest of several. */
export function childLog(): Log {
  return log.child({});
}

export function startLog(wanted: LogSettings): void {
  settings = wanted;
  setLogLevel(wanted.level);
}

/** @param of the process's log or a child of it */
export function setLogLevel(level: LogLevel, of: Log = log): void {
  of.level = pinoLevel(level);
}

/** Writes why the process ends: to the log, and as the last line of stderr. */
export function logEnd(message: string): void {
  const { isFile, format } = settings;
  if (isFile || format === "json") writeRecord(recordOf(FATAL, message));
  if (!isFile && format === "json") return;
  tellStderr(`${programName()}: ${message}\n`);
}

/** Writes whole lines to stderr that are not part of the log. Errors are ignored. */
export function tellStderr(text: string): void {
  try {
    settings.writeStderr(text);
  } catch {
    // Nobody reads stderr; the exit status still tells.
  }
}

/** The current second: its start, the lines in it, and those suppressed. */
let secondBegan = Number.NEGATIVE_INFINITY;
let lines = 0;
let suppressed = 0;
/** Lines that could not be written, and the code of the last error. */
let lost = 0;
let lossCode = "";
/** Whether the last line was written in part: the next one begins with a newline. */
let isTorn = false;

function onRecord(record: object): void {
  const now = monotonicMs();
  if (now - secondBegan >= SECOND) beginSecond(now);
  lines += 1;
  if (lines > settings.linesPerSecond) suppress();
  else writeRecord(record as LogRecord);
}

function suppress(): void {
  suppressed += 1;
  if (suppressed > 1) return;
  const rest = SECOND - (monotonicMs() - secondBegan);
  setTimeout(() => beginSecond(monotonicMs()), rest).unref();
}

function beginSecond(now: number): void {
  secondBegan = now;
  lines = 0;
  if (suppressed === 0) return;
  const { linesPerSecond: most } = settings;
  writeRecord(recordOf(WARNING, `${suppressed} lines suppressed: more than ${most} per second`));
  suppressed = 0;
}

/**
 * A full disk or a closed stderr must not end the network. Lost lines are reported with the next line that can be
 * written.
 */
function writeRecord(record: LogRecord): void {
  if (lost > 0) {
    const note = recordOf(WARNING, `${lost} lines could not be written (${lossCode})`);
    if (!writeLine(formatRecord(note))) {
      lost += 1;
      return;
    }
    lost = 0;
  }
  if (!writeLine(formatRecord(record))) lost += 1;
}

function writeLine(line: string): boolean {
  const text = isTorn ? `\n${line}` : line;
  try {
    const written = settings.write(text);
    isTorn = written < Buffer.byteLength(text);
    return !isTorn;
  } catch (error) {
    lossCode = errnoOf(error);
    return false;
  }
}

function recordOf(level: number, msg: string): LogRecord {
  return { level, msg, time: Date.now() };
}

function formatRecord(record: LogRecord): string {
  const { level, msg, time, ...rest } = record;
  const name = LEVEL_NAMES[level] ?? `${level}`;
  switch (settings.format) {
    case "plain":
      return `${programName()}: ${name}: ${msg}\n`;
    case "text":
      return `${new Date(time).toISOString()} ${programName()}[${process.pid}]: ${name}: ${msg}\n`;
    case "json": {
      const whole = { time: new Date(time).toISOString(), level: name, pid: process.pid, msg };
      return `${JSON.stringify({ ...whole, ...rest })}\n`;
    }
  }
}

function pinoLevel(level: LogLevel): string {
  return level === "warning" ? "warn" : level;
}
