import path from "node:path";
import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import { NO_PORTS, type PortSet, parsePortSet } from "../base/port-set.js";
import { openPort } from "../client/taps.js";
import { Daemon, type ReopenedTap } from "../daemon/daemon.js";
import type { Guest } from "../guest.js";
import { Loop } from "../loop.js";
import type { GivenMember, Params } from "../protocol/messages.js";
import { isSame } from "../protocol/namespaces.js";
import { type Places, places } from "../protocol/places.js";
import { native } from "../sys/native.js";
import { requestsTo } from "./asked.js";
import { fail } from "./exit.js";
import { adoptInherited } from "./inherited.js";
import type { DaemonRunConfig } from "./network-commands.js";
import { publishListening, publishPort } from "./publish.js";
import { type PublishOption, parsePublish } from "./publish-option.js";
import { inheritedListener, ServiceManager } from "./service-manager.js";
import { SharedGuests } from "./shared-guests.js";

const READY = Buffer.from("1");

/** `slipway daemon run`: serves until it is told to stop. Whoever waits at the ready-fd is told why it failed. */
export function runDaemon({ readyFd }: DaemonRunConfig): void {
  // Whoever waited was told by the one whose place this takes: native/launcher/supervisor.c.
  const { SLIPWAY_RESTARTED: restarted } = process.env;
  const waiting = restarted === undefined ? readyFd : null;
  if (waiting !== null) adoptInherited("--ready-fd", waiting);
  const tell = (bytes: Uint8Array): void => {
    if (waiting === null) return;
    native.writeBytes(waiting, bytes);
    native.close(waiting);
  };
  try {
    serve();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(Buffer.from(error.message));
    fail(error.message, error.exitStatus);
  }
  tell(READY);
}

function serve(): void {
  const loop = new Loop();
  const at = places();
  const manager = new ServiceManager(process.env);
  const stop = (): void => {
    manager.tell("STOPPING=1");
    daemon.close();
    shared.close();
    loop.stop();
    process.exit(0);
  };
  const listener = inheritedListener(process.env);
  const daemon = new Daemon({ loop, places: at, listener, publish, reopen, onStop: stop });
  const shared = new SharedGuests(at.launchers, loop, requestsTo(daemon));
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop);
  // The terminal that it was started from is no concern of it.
  process.on("SIGHUP", () => undefined);
  loop.start();
  lockDown(at);
  manager.tell("READY=1");
}

/** What the daemon is left with: files of the system to read, and its own. */
function lockDown({ socket, state }: Places): void {
  const program = path.dirname(process.argv[1] ?? "");
  const readable = ["/proc", "/etc", "/run", program];
  const result = native.lockDownDaemon(readable, [path.dirname(socket), path.dirname(state)]);
  if (result >= 0) return;
  const { step } = native.lastError();
  throw new UserError(`cannot enter the sandbox (${step}, ${getSystemErrorName(result)})`);
}

/** What was published before stays, whatever fails. */
function publish(
  guest: Guest,
  { ports, auto }: Params<"member.publish">,
  listening: number | null,
): readonly string[] {
  const lines: string[] = [];
  const before = new Set(guest.forwards.rules.map(({ id }) => id));
  try {
    for (const text of ports) {
      publishPort(guest, parsedPort(text), false, (line) => lines.push(line));
    }
    if (auto !== null) publishAll(guest, auto.exclude, listening);
    else if (listening !== null) native.close(listening);
    return lines;
  } catch (error) {
    for (const { id } of guest.forwards.rules) if (!before.has(id)) guest.forwards.remove(id);
    if (listening !== null) native.close(listening);
    throw error;
  }
}

function publishAll(guest: Guest, excluded: string, listening: number | null): void {
  if (listening === null) throw new UserError("member.publish: no socket came along for auto");
  const what = { exclude: parsedExclusion(excluded), toLoopback: false };
  publishListening(guest, listening, what, (line) => log.info(line.trimEnd()));
}

function parsedPort(text: string): PublishOption {
  const option = parsePublish(text);
  if (option !== null) return option;
  throw new UserError(`--publish ${text}: write it like 8080:80`);
}

function parsedExclusion(text: string): PortSet {
  const ports = text === "" ? NO_PORTS : parsePortSet(text);
  if (ports !== null) return ports;
  throw new UserError(`--publish-exclude ${text}: write it like 22,8000-8010,53/udp`);
}

function reopen({ namespace }: Params<"member.join">, given: GivenMember): readonly ReopenedTap[] {
  if (namespace === null || !isSame(namespace)) throw new UserError("its namespace is gone");
  const opened: ReopenedTap[] = [];
  try {
    for (const port of given.ports) {
      const { ifname, tap } = openPort(namespace, port);
      opened.push({ network: port.network, ifname, tap });
    }
    return opened;
  } catch (error) {
    for (const { tap } of opened) native.close(tap);
    throw error;
  }
}
