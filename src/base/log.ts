import { writeSync } from "node:fs";
// pino's entry for browsers is the same logger without worker threads and streams: it loads in
// 1.3 ms where the other takes 7–11 (bundled, Node 26), and exec → ready is to stay under 40.
import pino from "pino/browser.js";

const STDERR = 2;

const LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: "trace",
  20: "debug",
  30: "info",
  40: "warning",
  50: "error",
  60: "fatal",
};

/** The process's log: lines `slipway: LEVEL: message` on stderr. */
export const log = pino({ level: "info", browser: { write: writeLine } });

/** One line of the log as people see it, with its newline. */
function formatLine(record: { readonly level: number; readonly msg: string }): string {
  return `slipway: ${LEVEL_NAMES[record.level] ?? record.level}: ${record.msg}\n`;
}

function writeLine(record: object): void {
  try {
    writeSync(STDERR, formatLine(record as Parameters<typeof formatLine>[0]));
  } catch {
    // A full or closed stderr must not end the network; there is nowhere to tell it.
  }
}
