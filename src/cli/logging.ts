import { constants, openSync } from "node:fs";
import { UserError } from "../base/errors.js";
import { type LogLevel, startLog } from "../base/log.js";
import { fileWriter, unblockedWriter } from "../sys/output.js";

const STDERR = 2;
const { O_WRONLY, O_CREAT, O_APPEND, O_NONBLOCK, O_NOCTTY } = constants;

/** What the user asked of the log. */
export interface LogOptions {
  /** null for stderr. */
  readonly file: string | null;
  /** null: warnings on stderr, in a file what else is worth a line. */
  readonly level: LogLevel | null;
  readonly format: "text" | "json";
  readonly linesPerSecond: number;
}

/**
 * Opens the log; to be called before the network is ready, as a sandbox may forbid it later.
 * @throws UserError when the file cannot be written
 */
export function startLogging({ file, level, format, linesPerSecond }: LogOptions): void {
  const isPlain = file === null && format === "text";
  const writeStderr = unblockedWriter(STDERR);
  startLog({
    write: file === null ? writeStderr : fileWriter(openFile(file)),
    writeStderr,
    isFile: file !== null,
    level: level ?? (file === null ? "warning" : "info"),
    format: isPlain ? "plain" : format,
    linesPerSecond,
  });
}

/** Others may write to the file, or cut it to rotate: each line goes to its end. */
function openFile(file: string): number {
  try {
    return openSync(file, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY, 0o600);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : error;
    throw new UserError(`--log-file ${file} cannot be written (${code}): choose another file`);
  }
}
