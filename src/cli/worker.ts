import { parentPort, workerData } from "node:worker_threads";
import { DescriptorLedger } from "../base/descriptors.js";
import { UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import { NO_PORTS, type PortSet, parsePortSet } from "../base/port-set.js";
import { Executor } from "../dataplane/executor.js";
import type { FromWorker, Publication, ToWorker } from "../dataplane/messages.js";
import type { Guest } from "../guest.js";
import { Loop } from "../loop.js";
import { ResolvConf } from "../service/resolvconf.js";
import { native } from "../sys/native.js";
import { RESOLV_CONF } from "./network.js";
import { publishListening, publishPort } from "./publish.js";
import { type PublishOption, parsePublish } from "./publish-option.js";

/** A thread of the daemon: serves networks until the main thread ends it. */
export function serveNetworks(): void {
  const main = parentPort;
  if (main === null) throw new UserError("this is a name for threads of the daemon alone");
  // Of workerStarter.
  const { ledger, place }: { ledger: Int32Array<SharedArrayBuffer>; place: number } = workerData;
  const loop = new Loop(new DescriptorLedger(ledger, place));
  const executor = new Executor({
    loop,
    upstream: new ResolvConf(RESOLV_CONF),
    publish,
    tell: (message: FromWorker) => main.postMessage(message),
  });
  main.on("message", (message: ToWorker) => executor.onMessage(message));
  loop.start();
}

/** What was published before stays, whatever fails. @param listening is closed then, or with the guest */
function publish(
  guest: Guest,
  { ports, auto }: Publication,
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
