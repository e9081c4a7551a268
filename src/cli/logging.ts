import { Stdio } from "../base/constants.js";
import { startLog } from "../base/log.js";
import type { LogOptions } from "../commandline/invocation.js";
import { fileWriter, unblockedWriter } from "../sys/output.js";
import { openOutputFile } from "./output-file.js";

/**
 * Opens the log; to be called before the network is ready, as a sandbox may forbid it later.
 * @throws UserError when the file cannot be written, or should not be (openOutputFile)
 */
export function startLogging({ file, level, format, linesPerSecond }: LogOptions): void {
  const isPlain = file === null && format === "text";
  const writeStderr = unblockedWriter(Stdio.Error);
  startLog({
    // Others may write to the file, or cut it to rotate: each line goes to its end.
    write: file === null ? writeStderr : fileWriter(openOutputFile("--log-file", file, null)),
    writeStderr,
    isFile: file !== null,
    level: level ?? (file === null ? "warning" : "info"),
    format: isPlain ? "plain" : format,
    linesPerSecond,
  });
}
