import { getSystemErrorName } from "node:util";
import type { LogLevel, Write } from "../../base/log.js";
import { native } from "../../sys/native.js";
import { connectNotifier } from "../../sys/sockets/local-socket.js";

/** Where syslog(3) sends to. */
const SYSTEM_LOG = "/dev/log";

/** LOG_DAEMON of syslog(3). */
const FACILITY = 3;

/** Its severities. */
const SEVERITY: Readonly<Record<LogLevel, number>> = {
  trace: 7,
  debug: 7,
  info: 6,
  warning: 4,
  error: 3,
};

/**
 * Connects to the system's log. The connection is made now and goes on in the sandbox.
 * @returns writes lines such as `pasta: warning: what happened`; null: the machine has no such log
 */
export function systemLogWriter(): Write | null {
  const socket = connectNotifier(SYSTEM_LOG);
  if (socket < 0) return null;
  return (text) => {
    const sent = native.sendPassing(socket, Buffer.from(messageOf(text)), null);
    if (sent >= 0) return Buffer.byteLength(text);
    const code = getSystemErrorName(sent);
    throw Object.assign(new Error(`${SYSTEM_LOG}: ${code}`), { code });
  };
}

/** A line in the form of RFC 3164 §4.1, whose time the log adds. */
export function messageOf(line: string): string {
  const [, level = ""] = /^[^:]*: (\w+): /.exec(line) ?? [];
  const severity = Object.hasOwn(SEVERITY, level) ? SEVERITY[level as LogLevel] : SEVERITY.error;
  return `<${FACILITY * 8 + severity}>${line.trimEnd()}`;
}
