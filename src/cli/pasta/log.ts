import { writeSync } from "node:fs";
import { DEFAULT_LINES_PER_SECOND, startLog, type Write } from "../../base/log.js";
import { Stdio } from "../../base/stdio.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import { isDetached, isInBackground } from "../../host/background.js";
import { startLogging } from "../../host/output/logging.js";
import { openOutputFile } from "../../host/output/output-file.js";
import { systemLogWriter } from "../../host/output/system-log.js";
import { fileWriter } from "../../sys/output.js";

/**
 * Opens the log. In the background it is the system's, once the network is up: stderr is the caller's until then, and written as
 * it is, as a copy of it would keep the caller waiting for its end.
 * @throws UserError when the file cannot be written
 */
export function startPastaLog({ log: { file, level: wanted }, target }: PastaConfig): void {
  // The terminal is the command's.
  const level = target.kind === "command" && wanted === "info" ? "warning" : wanted;
  const linesPerSecond = DEFAULT_LINES_PER_SECOND;
  if (!isInBackground()) {
    startLogging({ file, level, format: "text", linesPerSecond });
    return;
  }
  const writeStderr: Write = (text) => writeSync(Stdio.Error, text);
  const writeSystemLog = file === null ? (systemLogWriter() ?? writeStderr) : writeStderr;
  startLog({
    write:
      file === null
        ? (text) => (isDetached() ? writeSystemLog(text) : writeStderr(text))
        : fileWriter(openOutputFile("--log-file", file, null)),
    writeStderr,
    isFile: file !== null,
    level,
    format: file === null ? "plain" : "text",
    linesPerSecond,
  });
}
