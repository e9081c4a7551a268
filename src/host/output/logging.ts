import { startLog } from "../../base/log.js";
import { Stdio } from "../../base/stdio.js";
import type { LogOptions } from "../../commandline/invocation.js";
import { fileWriter, unblockedWriter } from "../../sys/output.js";
import { openOutputFile } from "./output-file.js";

/**
 * Opens the log. Call it before the sandbox is entered, which does not let files be opened.
 * @throws UserError when the file cannot be written, or should not be (openOutputFile)
 */
export function startLogging({ file, level, format, linesPerSecond }: LogOptions): void {
  const isPlain = file === null && format === "text";
  const writeStderr = unblockedWriter(Stdio.Error);
  startLog({
    // Opened for appending, as others may write to the file, or truncate it to rotate it.
    write: file === null ? writeStderr : fileWriter(openOutputFile("--log-file", file, null)),
    writeStderr,
    isFile: file !== null,
    level: level ?? (file === null ? "warning" : "info"),
    format: isPlain ? "plain" : format,
    linesPerSecond,
  });
}
